"""What a compression is told: the one list that the API, commands and datasets are made from."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache, wraps
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_type_hints

from doh3d.errors import ConfigError
from doh3d.hypernetwork.architecture import Activation, ProjectionKind

Quantizer = Literal["qat", "ptq"]
SignalKind = Literal["shape", "image"]

PresetName = Literal["fast", "default", "best"]

# Numbers in the latent where neither it nor a size is asked for: a file of about a kilobyte.
DEFAULT_LATENT = 1370

# Bytes of a file that may be asked for.
MIN_BYTES, MAX_BYTES = 300, 64_000

# Bits a pixel of an image where nothing is asked for.
DEFAULT_BPP = 0.15

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


@dataclass(frozen=True)
class Told:
    """What an option means, in the words of its documentation.

    Attributes
    ----------
    help : str
    default, image_default : str, optional
        What None stands for; for images, if that is something else.
    only : "shape" or "image", optional
        The kind of signal whose option it is; of all kinds without it.
    """

    help: str
    default: str | None = None
    image_default: str | None = None
    only: SignalKind | None = None

    def default_of(self, kind: SignalKind) -> str | None:
        """Return what None stands for, of a kind of signal."""
        return self.image_default if kind == "image" and self.image_default else self.default


@dataclass(frozen=True)
class CompressOptions:
    """The options that a file's bytes follow from, beside the signal; None stands for the default.

    To add an option, add a field here: `doh3d.compress`, `doh3d.compress_image`,
    `doh3d.fit_many`, the commands and the datasets take it from here.

    Raises
    ------
    ConfigError
        If a target is out of range, or an option contradicts another. The others' ranges are
        checked by `doh3d.fitting.config.FitConfig`.
    """

    max_bytes: Annotated[
        int | None,
        Told(
            "Largest size of the file in bytes, 300 to 64000; at least 95% of them are used, "
            "unless fewer do better."
        ),
    ] = None
    bpp: Annotated[
        float | None, Told("The same in bits a pixel.", default="0.15", only="image")
    ] = None
    min_iou: Annotated[
        float | None,
        Told(
            "Make the smallest file whose mesh (resolution 256) reaches this IoU by the bbox "
            "protocol; several fits.",
            only="shape",
        ),
    ] = None
    min_psnr: Annotated[
        float | None,
        Told("Make the smallest file that reaches this PSNR in dB; several fits.", only="image"),
    ] = None
    preset: Annotated[PresetName, Told("fast, default or best: how long to fit.")] = "default"
    latent: Annotated[
        int | None,
        Told(
            "Numbers in the latent, in place of a size or a quality; the file's size follows it.",
            default="1370",
            image_default="as many as 0.15 bits a pixel take",
        ),
    ] = None
    bits: Annotated[
        int | None,
        Told(
            "Bits of a latent's range, 2 to 16, before entropy coding; 32 keeps float32.",
            default="the steps of 6, or of 7 in cells, from 2937 numbers on, and any range",
            image_default="the steps of 6, and any range",
        ),
    ] = None
    quantizer: Annotated[
        Quantizer, Told("qat (trains with the quantiser) or ptq (rounds afterwards).")
    ] = "qat"
    width: Annotated[
        int | None, Told("Neurons in a hidden layer, 1 to 256.", default="follows the latent")
    ] = None
    depth: Annotated[
        int | None, Told("Hidden layers, 1 to 15.", default="3", image_default="5")
    ] = None
    octaves: Annotated[
        int | None,
        Told(
            "Octaves of positional encoding, 0 to 15.",
            default="3; 0 with sine",
            image_default="follows the latent; 0 with sine",
        ),
    ] = None
    activation: Annotated[
        Activation | None,
        Told(
            "smooth (a ReLU with a rounded corner), relu or sine.",
            default="smooth",
            image_default="relu",
        ),
    ] = None
    omega: Annotated[
        int | None, Told("Frequency of the sine activation, 1 to 255.", default="30")
    ] = None
    projection: Annotated[ProjectionKind, Told("hadamard or dense.")] = "hadamard"
    mirror: Annotated[
        bool,
        Told(
            "Store one side only of what is its own mirror image about the middle of its box.",
            only="shape",
        ),
    ] = True
    exact: Annotated[
        bool,
        Told(
            "Keep every triangle of a mesh, and refuse more than 2,000,000, which a binary PLY or "
            "STL file may have: without it they are thinned to about a million.",
            only="shape",
        ),
    ] = False
    seed: Annotated[
        int, Told("0 to 65535; the same seed gives the same file on the same machine.")
    ] = 0

    def __post_init__(self) -> None:
        """Check types and the targets."""
        for option in options_of():
            object.__setattr__(self, option.name, option.checked(getattr(self, option.name)))
        targets = ("max_bytes", "bpp", "min_iou", "min_psnr", "latent")
        given = [name for name in targets if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} contradict each other; give one of them")
        if self.max_bytes is not None and not MIN_BYTES <= self.max_bytes <= MAX_BYTES:
            raise ConfigError(
                f"max_bytes is {self.max_bytes}; it must be {MIN_BYTES} to {MAX_BYTES}"
            )
        if self.min_iou is not None and not 0 < self.min_iou < 1:
            raise ConfigError(f"min_iou is {self.min_iou}; it must be above 0 and below 1")
        if self.min_psnr is not None and not self.min_psnr > 0:
            raise ConfigError(f"min_psnr is {self.min_psnr:g}; it must be above 0 dB")
        rounded_otherwise = self.bits is not None or self.quantizer != "qat"
        if given and self.latent is None and rounded_otherwise:
            raise ConfigError(
                f"{given[0]} chooses the quantisation by itself; leave out bits and ptq"
            )

    @property
    def quality(self) -> float | None:
        """IoU or PSNR that is to be reached, if one is."""
        return self.min_iou if self.min_iou is not None else self.min_psnr

    def of_kind(self, kind: SignalKind) -> dict[str, Any]:
        """Return the options that a kind of signal has, by name, ready for JSON."""
        return {option.name: getattr(self, option.name) for option in options_of(kind)}


@dataclass(frozen=True)
class Option:
    """One field of `CompressOptions`: its name, type, default, and what is told of it."""

    name: str
    type: Any
    default: Any
    told: Told

    @property
    def plain(self) -> Any:
        """The type but for None: int, float, bool or a Literal."""
        inner = get_args(self.type)
        # A Literal's arguments are names.
        return inner[0] if type(None) in inner else self.type

    @property
    def choices(self) -> tuple[str, ...]:
        """Names that the value is one of, if there are such."""
        return get_args(self.plain)

    def checked(self, value: Any) -> Any:
        """Return the value as its type; ConfigError where it is of another."""
        if value is None and self.default is None:
            return value
        if self.choices:
            right, needed = value in self.choices, _listed(self.choices)
        elif self.plain is bool:
            right, needed = isinstance(value, bool), "True or False"
        else:
            whole = self.plain is int
            number = Integral if whole else Real
            right = isinstance(value, number) and not isinstance(value, bool)
            needed = "a whole number" if whole else "a number"
        if not right:
            raise ConfigError(f"{self.name} is {value!r}; it must be {needed}")
        return value if self.choices else self.plain(value)


def _listed(names: Sequence[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}"


@cache
def _options() -> tuple[Option, ...]:
    hints = get_type_hints(CompressOptions, include_extras=True)
    options = []
    for own in fields(CompressOptions):
        type_, told = get_args(hints[own.name])
        options.append(Option(own.name, type_, own.default, told))
    return tuple(options)


def options_of(kind: SignalKind | None = None) -> list[Option]:
    """Return the options that a kind of signal has, or all, in their order."""
    return [option for option in _options() if kind is None or option.told.only in (None, kind)]


def takes_options(
    kind: SignalKind, without: Sequence[str] = ()
) -> Callable[[FunctionT], FunctionT]:
    """Make a function that takes ``**options`` name them in its signature and documentation.

    A line of its docstring that is ``**options`` becomes a description of each. Others, and those
    `without`, are refused as Python refuses unknown arguments.
    """
    options = [option for option in options_of(kind) if option.name not in without]

    def decorate(function: FunctionT) -> FunctionT:
        signature = inspect.signature(function)
        signal, *others = signature.parameters.values()
        named = [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=option.type,
            )
            for option in options
        ]
        parameters = [signal, *named, *(p for p in others if p.kind is not p.VAR_KEYWORD)]
        known = {parameter.name for parameter in parameters}

        @wraps(function)
        def checked(*arguments: Any, **values: Any) -> Any:
            for name in values:
                if name not in known:
                    raise TypeError(
                        f"{function.__name__}() got an unexpected keyword argument {name!r}"
                    )
            return function(*arguments, **values)

        checked.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        checked.__doc__ = (function.__doc__ or "").replace(
            "    **options", _described(options, kind)
        )
        return cast(FunctionT, checked)

    return decorate


def _described(options: Sequence[Option], kind: SignalKind) -> str:
    """Lines of a docstring, numpy's style."""
    lines = []
    for option in options:
        type_ = _listed(option.choices) if option.choices else option.plain.__name__
        lines.append(f"    {option.name} : {type_}{', optional' * (option.default is None)}")
        text, default = option.told.help, option.told.default_of(kind)
        text += "" if default is None else f" Unless given: {default}."
        lines += textwrap.wrap(text, 96, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)
