"""Views for notebooks, in which a scientist's hand moves the controls."""
