"""Silicon in graphene under the beam of a scanning transmission electron microscope."""
