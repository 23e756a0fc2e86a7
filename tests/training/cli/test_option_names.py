# SPDX-License-Identifier: Apache-2.0
"""Settings in messages: Python's names for who calls from Python, options for who types a command."""

import re

import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.cli import train_commands
from sequential_patchcore.cli.option_names import as_options
from sequential_patchcore.runtime.errors import UserError

TRAIN = ("train", "--data", "d", "--out", "m.h5")
MELD = ("meld", "a.h5", "b.h5", "--out", "m.h5")


def names(*command: str) -> dict[str, str]:
    return cli.build_parser().parse_args(command).option_names


@pytest.mark.parametrize(
    ("command", "message", "shown"),
    [
        (TRAIN, "only 12 patches for `coreset_size` 16", "only 12 patches for --coreset-size 16"),
        (TRAIN, "`out`, `image_scale`", "--out, --image-scale"),
        (TRAIN, "give `border_mask`", "give --no-border-mask"),
        (TRAIN, "`images` and `models` and `run` are no options", "`images` and `models` and `run` are no options"),
        (MELD, "lower `coreset_size`; `image_scale` stays", "lower --coreset-size; `image_scale` stays"),
        (MELD, "`models` is no option", "`models` is no option"),
        (TRAIN, "`sequential-patchcore calibrate --model M.h5` sets `threshold`",
         "`sequential-patchcore calibrate --model M.h5` sets `threshold`"),
        (TRAIN, "a`seed`b `Seed` ` seed `", "a--seedb `Seed` ` seed `"),
    ],
)
def test_settings_become_the_options_of_the_command(command, message, shown):
    assert as_options(message, names(*command)) == shown


@pytest.mark.parametrize(
    "command",
    [
        TRAIN, MELD, ("finetune", "--model", "m.h5", "--data", "d", "--out", "x"), ("calibrate", "--model", "m.h5"),
        ("evaluate", "--model", "m.h5", "--data", "d", "--out", "x"),
        ("predict", "p.png", "--model", "m.h5", "--out", "x"), ("info", "m.h5"),
        ("import", "mvtec", "d", "--out", "x"), ("export", "coco", "d", "--out", "x"),
    ],
    ids=lambda command: command[0],
)
def test_every_option_of_a_command_is_known(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command[0], "--help"])
    usage = capsys.readouterr().out.split("\n\n")[0]
    assert set(re.findall(r"--[a-z][a-z-]*", usage)) == set(names(*command).values()) - {"--help"}


def test_the_command_prints_options(monkeypatch, capsys):
    def refuse(_arguments):
        raise UserError("only 12 patches\nfor `coreset_size` 16")

    monkeypatch.setattr(train_commands, "train", refuse)
    assert cli.main(TRAIN) == 2
    assert capsys.readouterr().err == "sequential-patchcore: only 12 patches for --coreset-size 16\n"
