"""One list of options: the Python API, commands and datasets are made from it."""

import dataclasses
import inspect

import pytest
from typer.main import get_command

import doh3d
from doh3d.cli import app
from doh3d.dataset.options import config_id, config_of
from doh3d.errors import ConfigError
from doh3d.options import CompressOptions, options_of
from doh3d.signals.shape import shape_config

SHAPE, IMAGE = ({option.name: option for option in options_of(kind)} for kind in ("shape", "image"))
FUNCTIONS = {doh3d.compress: SHAPE, doh3d.fit_many: SHAPE, doh3d.compress_image: IMAGE}
COMMANDS = {("compress",): SHAPE, ("batch",): SHAPE, ("image", "compress"): IMAGE}


def test_every_option_is_of_some_kind_of_signal():
    names = {field.name for field in dataclasses.fields(CompressOptions)}
    assert names == set(SHAPE) | set(IMAGE)
    assert set(SHAPE) - set(IMAGE) == {"min_iou", "mirror"}
    assert set(IMAGE) - set(SHAPE) == {"bpp", "min_psnr"}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions_name_them_in_signature_and_documentation(function):
    parameters = inspect.signature(function).parameters
    options = FUNCTIONS[function]
    # The signal first, then the options, then what a file does not depend on.
    assert list(parameters)[1 : 1 + len(options)] == list(options)
    assert "options" not in parameters
    for name, option in options.items():
        assert parameters[name].default == option.default
        assert f"\n    {name} : " in function.__doc__
        assert option.told.help in function.__doc__


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_commands_have_them_with_help_and_default(path):
    command = get_command(app)
    for name in path:
        command = command.commands[name]
    found = {parameter.name: parameter for parameter in command.params}
    for name, option in COMMANDS[path].items():
        assert found[name].help == option.told.help
        assert found[name].default == option.default
        if option.default is None and option.told.default is not None:
            assert found[name].show_default == option.told.default


def test_the_default_of_bits_is_what_its_help_says():
    assert "7 for a shape in cells, from 2937 numbers on" in SHAPE["bits"].told.default
    assert [shape_config(latent=latent).bits for latent in (2936, 2937)] == [6, 7]


def test_options_of_another_kind_are_refused_before_any_work():
    with pytest.raises(ConfigError, match="bpp is an option of images; this is to be of shapes"):
        doh3d.compress("never-read.ply", bpp=0.1)
    with pytest.raises(ConfigError, match="mirror is an option of shapes"):
        doh3d.compress_image("never-read.png", mirror=False)
    with pytest.raises(TypeError, match="no_such_option"):
        doh3d.compress("never-read.ply", no_such_option=1)


def test_the_same_options_have_the_same_id_in_every_dataset():
    # Of a row that an earlier release has written.
    assert config_id(CompressOptions()) == "bc1cea97ba529ff5"
    assert config_id(CompressOptions(depth=3, activation="smooth")) == config_id(CompressOptions())
    assert config_id(CompressOptions(omega=9)) != config_id(CompressOptions())
    config = config_of(CompressOptions(width=8))
    assert CompressOptions(**config) == CompressOptions(width=8, depth=3, activation="smooth")
