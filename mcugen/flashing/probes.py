"""The ST-LINK probes on this computer's USB, whether or not this user may open them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from mcugen.errors import McugenError

VENDOR = 0x0483
PRODUCTS = frozenset((0x3744, 0x3748, 0x374A, 0x374B, 0x374D, 0x374E, 0x374F, 0x3752, 0x3753, 0x3754, 0x3755, 0x3757))
SYSFS = Path("/sys/bus/usb/devices")


@dataclass(frozen=True)
class Probe:
    """A probe: its serial number, and the serial port it offers ("" where there is none)."""

    serial: str
    port: str = ""

    def __str__(self) -> str:
        return f"{self.serial} at {self.port}" if self.port else self.serial


def list_probes() -> list[Probe]:
    """All ST-LINKs, by serial number: those with a serial port, and on Linux those without."""
    found: dict[str, Probe] = {}
    for port in list_ports.comports():
        if port.vid == VENDOR and port.pid in PRODUCTS and port.serial_number:
            found.setdefault(port.serial_number, Probe(port.serial_number, port.device))
    for device in SYSFS.glob("*/idVendor"):
        ids = [_read(device.with_name(name)) for name in ("idVendor", "idProduct", "serial")]
        if ids[0] == f"{VENDOR:04x}" and ids[1] in {f"{product:04x}" for product in PRODUCTS} and ids[2]:
            found.setdefault(ids[2], Probe(ids[2]))
    return [found[serial] for serial in sorted(found)]


def find_port() -> str:
    """The serial port of the only ST-LINK that has one (`--port auto`).

    Raises:
        McugenError: there is none, or there are several.
    """
    probes = [probe for probe in list_probes() if probe.port]
    if not probes:
        raise McugenError("--port auto", "no ST-LINK with a serial port is connected", "plug the board in, or name the port")
    if len(probes) > 1:
        fact = f"{len(probes)} boards are connected: {', '.join(map(str, probes))}"
        raise McugenError("--port auto", fact, f"choose with --port {probes[0].port}, or repeat --port to test several")
    return probes[0].port


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
