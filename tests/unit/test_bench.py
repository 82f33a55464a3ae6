"""`mcugen test` on several devices at once: each is reported, none hides another."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mcugen.commands import test as command
from mcugen.errors import McugenError
from mcugen.protocol.client import Device
from tests.unit.model_files import write_h5
from tests.unit.test_cli import call, refused, sample

SEVERAL = ("--port", "unicorn", "--port", "unicorn", "--port", "unicorn")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    model = write_h5(folder / "small.h5", *sample())
    assert call("build", model, "-o", folder / "firmware").exit_code == 0
    return folder / "firmware"


def test_several_devices_at_once(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=30)
    real = command.compare

    def compare(*arguments: object) -> object:
        together.wait()  # all three are open at the same time
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "compare", compare)
    result = call("test", built, *SEVERAL, "--json", tmp_path / "t.json", "--junit", tmp_path / "t.xml")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "t.json").read_text())
    assert found["passed"] and [device["port"] for device in found["devices"]] == ["unicorn"] * 3
    suite = ElementTree.parse(tmp_path / "t.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "0")


def test_one_silent_and_one_wrong_device(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Device.infer, iter(range(1000))

    def infer(self: Device, inputs: list[bytes], *, trace: bool = False) -> object:
        result = real(self, inputs, trace=trace)
        if next(calls) == 1:
            result.outputs[0] = bytes([result.outputs[0][0] ^ 1]) + result.outputs[0][1:]
        return result

    monkeypatch.setattr(Device, "infer", infer)
    options = ("--port", "unicorn", "--port", "/dev/no-such-port", "--json", tmp_path / "t.json", "--junit", tmp_path / "t.xml")
    result = call("test", built, *options)
    assert result.exit_code == 2 and "FAILED: 2 of 2 devices" in result.output
    assert "unicorn: output differs: sample 1, output 0, byte 0" in result.output
    assert "/dev/no-such-port: cannot be opened" in result.output
    suite = ElementTree.parse(tmp_path / "t.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")
    assert suite.find("testcase/failure") is not None and suite.find("testcase/error") is not None
    assert [device["passed"] for device in json.loads((tmp_path / "t.json").read_text())["devices"]] == [False, False]


def test_one_device_that_fails_is_reported_in_files_too(built: Path, tmp_path: Path) -> None:
    options = ("--port", "/dev/no-such-port", "--json", tmp_path / "t.json", "--junit", tmp_path / "t.xml")
    refused(call("test", built, *options), "/dev/no-such-port: cannot be opened")
    assert json.loads((tmp_path / "t.json").read_text())["passed"] is False
    assert ElementTree.parse(tmp_path / "t.xml").getroot().get("errors") == "1"


def test_a_board_is_named_once(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(call("test", built, "--port", "/dev/ttyACM0", "--port", "/dev/ttyACM0"), "/dev/ttyACM0 is named twice")

    def several() -> str:
        raise McugenError("--port auto", "2 boards are connected: a at /dev/ttyACM0, b at /dev/ttyACM1", "choose with --port")

    monkeypatch.setattr("mcugen.flashing.probes.find_port", several)
    refused(call("test", built, "--port", "auto"), "a at /dev/ttyACM0, b at /dev/ttyACM1")


def test_junit_survives_hostile_text() -> None:
    device = {"port": "a<b>&\"'", "seconds": 1.0, "error": "said \x00\x1b[31m\ud800 <boo>", "passed": False}
    suite = ElementTree.fromstring(command.junit_report([device], 1.0).encode())
    assert suite.find("testcase").get("name") == "device at a<b>&\"'"  # type: ignore[union-attr]
    assert "<boo>" in suite.find("testcase/error").get("message", "")  # type: ignore[union-attr]
