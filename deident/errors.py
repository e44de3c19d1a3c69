"""What can go wrong, in words that are safe to print anywhere.

Every message says what was expected, what came and what to do. None holds a path, a name, a tag or a
sample of an input: messages travel into logs. Whoever knows the path may add it for the person at the
terminal."""


class DeidentError(Exception):
    """Any failure of this library. `code` is a short, stable word for machines."""

    code = "error"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.code)


class RecordingError(DeidentError):
    """This recording cannot be used; others can."""

    code = "refused"


class SettingError(DeidentError, ValueError):
    """A setting of a run, a method or a call is outside its range."""

    code = "setting"


class KeyMaterialError(DeidentError):
    """A key is missing, malformed or not the one that is needed."""

    code = "key"


class StoreError(DeidentError):
    """The store cannot be written, or does not hold what it should."""

    code = "store"


class ExtraMissingError(DeidentError, ImportError):
    """An optional package is needed for this."""

    code = "extra"

    @classmethod
    def of(cls, extra: str, purpose: str) -> "ExtraMissingError":
        return cls(f"{purpose} needs an optional package: pip install 'deident[{extra}]'")
