"""Every error that sciworld raises on purpose.

Each says what is wrong, where, and how to mend it, and is also a builtin error, so that code that knows
nothing of sciworld can catch it.
"""


class SciworldError(Exception):
    """Base of all errors that sciworld raises on purpose."""


class SettingsError(SciworldError, ValueError):
    """A setting has a value that cannot work, or a name that nobody knows."""


class ControlError(SciworldError, ValueError):
    """A column table, a control space or a control value is wrong."""


class RecordingError(SciworldError, ValueError):
    """A recording breaks the schema."""


class FormatError(SciworldError, ValueError):
    """A file cannot be read: truncated, foreign, or contradicting itself."""


class StoreError(SciworldError, OSError):
    """A store cannot be read or written."""


class CatalogError(SciworldError, LookupError):
    """A catalogue entry is missing, malformed, or cannot be fetched."""


class SimulatorError(SciworldError, ValueError):
    """A simulator was asked for something that it cannot simulate."""


class ModelError(SciworldError, ValueError):
    """A world model was given data or settings that do not fit it."""


class CheckpointError(SciworldError, ValueError):
    """A checkpoint or run folder is damaged, incomplete, or of another model."""


class TrainingError(SciworldError, RuntimeError):
    """Training cannot go on: the loss is not finite, or the run folder belongs to other settings."""


class SearchError(SciworldError, ValueError):
    """A control search is ill-posed."""


class NothingFoundError(SearchError):
    """A search looked at candidates, and none of them got a score."""


class ClusterError(SciworldError, RuntimeError):
    """Worker processes did not start, or none of a cluster's workers answers."""


class MissingDependencyError(SciworldError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""
