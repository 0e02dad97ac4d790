"""One list of options: the Python API, commands and datasets are made from it."""

import dataclasses
import inspect

import numpy as np
import pytest
from typer.main import get_command

import doh3d
from doh3d.cli import app
from doh3d.dataset.options import config_id, config_of
from doh3d.errors import ConfigError
from doh3d.options import CompressOptions, options_of
from doh3d.signals.shape import shape_config

SHAPE, IMAGE = ({option.name: option for option in options_of(kind)} for kind in ("shape", "image"))
FUNCTIONS = {
    doh3d.compress: ("shape", SHAPE),
    # Of many shapes each would take sizes of its own to reach a quality.
    doh3d.fit_many: ("shape", {name: SHAPE[name] for name in SHAPE if name != "min_iou"}),
    doh3d.compress_image: ("image", IMAGE),
}
COMMANDS = {
    ("compress",): ("shape", SHAPE),
    ("batch",): ("shape", SHAPE),
    ("image", "compress"): ("image", IMAGE),
}


def test_every_option_is_of_some_kind_of_signal():
    names = {field.name for field in dataclasses.fields(CompressOptions)}
    assert names == set(SHAPE) | set(IMAGE)
    assert set(SHAPE) - set(IMAGE) == {"min_iou", "mirror", "exact"}
    assert set(IMAGE) - set(SHAPE) == {"bpp", "min_psnr"}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions_name_them_in_signature_and_documentation(function):
    parameters = inspect.signature(function).parameters
    kind, options = FUNCTIONS[function]
    # The signal first, then the options, then what a file does not depend on.
    assert list(parameters)[1 : 1 + len(options)] == list(options)
    assert "options" not in parameters
    for name, option in options.items():
        assert parameters[name].default == option.default
        assert f"\n    {name} : " in function.__doc__
        text = " ".join(function.__doc__.split())
        assert option.told.help in text
        if option.told.default_of(kind) is not None:
            assert f"Unless given: {option.told.default_of(kind)}." in text
    assert max(map(len, function.__doc__.splitlines())) <= 100


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_commands_have_them_with_help_and_default(path):
    command = get_command(app)
    for name in path:
        command = command.commands[name]
    found = {parameter.name: parameter for parameter in command.params}
    kind, options = COMMANDS[path]
    for name, option in options.items():
        assert found[name].help == option.told.help
        assert found[name].default == option.default
        if option.default is None and option.told.default_of(kind) is not None:
            assert found[name].show_default == option.told.default_of(kind)


def test_the_default_of_bits_is_what_its_help_says():
    assert "7 in cells, from 2937 numbers on" in SHAPE["bits"].told.default
    assert [shape_config(latent=latent).bits for latent in (2936, 2937)] == [6, 7]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (doh3d.compress, "bpp"),
        (doh3d.compress, "no_such_option"),
        (doh3d.fit_many, "min_iou"),
        (doh3d.fit_many, "checkpoint"),
        (doh3d.compress_image, "mirror"),
    ],
)
def test_what_a_function_does_not_name_it_does_not_take(function, name):
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) got an .*argument '{name}'$"):
        function("never-read", **{name: None})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"latent": "500"}, "latent is '500'; it must be a whole number"),
        ({"latent": True}, "latent is True; it must be a whole number"),
        ({"width": 8.5}, "width is 8.5; it must be a whole number"),
        ({"seed": None}, "seed is None; it must be a whole number"),
        ({"min_iou": "high"}, "min_iou is 'high'; it must be a number"),
        ({"mirror": "no"}, "mirror is 'no'; it must be True or False"),
        ({"preset": None}, "preset is None; it must be 'fast', 'default' or 'best'"),
        ({"activation": ""}, "activation is ''; it must be 'relu', 'smooth' or 'sine'"),
        ({"quantizer": "vq"}, "quantizer is 'vq'; it must be 'qat' or 'ptq'"),
    ],
    ids=repr,
)
def test_values_of_other_types_are_refused_before_any_work(options, said):
    with pytest.raises(ConfigError, match=f"^{said}$"):
        doh3d.compress("never-read.ply", **options)


def test_numbers_of_numpy_become_pythons():
    options = CompressOptions(latent=np.int64(200), seed=np.uint8(3), activation="relu")
    assert (type(options.latent), options.latent, type(options.seed)) == (int, 200, int)
    assert type(CompressOptions(bpp=np.float32(0.5)).bpp) is float


def test_an_image_is_not_read_before_its_options():
    with pytest.raises(ConfigError, match="width is 300"):
        doh3d.compress_image("never-read.png", width=300)


def test_the_same_options_have_the_same_id_in_every_dataset():
    # Of a row that an earlier release has written.
    assert config_id(CompressOptions()) == "bc1cea97ba529ff5"
    assert config_id(CompressOptions(depth=3, activation="smooth")) == config_id(CompressOptions())
    assert config_id(CompressOptions(omega=9)) != config_id(CompressOptions())
    config = config_of(CompressOptions(width=8))
    assert CompressOptions(**config) == CompressOptions(width=8, depth=3, activation="smooth")
