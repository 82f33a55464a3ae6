"""Where a firmware can run: simulators and boards, each behind the same client.

    with open_engine("unicorn", image, digest=digest) as device:
        result = device.infer([input_bytes])
"""

from __future__ import annotations

from mcugen.elf import load_symbols
from mcugen.engines.qemu import INSTRUCTIONS_PER_TICK, start_qemu
from mcugen.engines.renode import start_renode
from mcugen.engines.serial import SerialPort
from mcugen.engines.unicorn import Simulator
from mcugen.errors import McugenError
from mcugen.protocol.client import Device
from mcugen.protocol.transport import Transport
from mcugen.toolchain import Image

ENGINES = {"unicorn": "nucleo-h743zi", "qemu": "mps2-an500", "renode": "nucleo-h743zi", "serial": "nucleo-h743zi"}
"""Engine names, and the board to build the image for."""


def open_engine(
    name: str, image: Image, *, port: str = "", digest: bytes | None = None, count: bool = False, timeout: float = 60.0
) -> Device:
    """Start an engine on `image` (on "serial" it is flashed already) and connect the client.

    Args:
        name: one of ENGINES.
        port: for "serial", a device name or pyserial URL.
        digest: refuse a device that runs another model.
        count: have `cycles` count instructions where the engine offers the choice (qemu: slower, but repeatable).
        timeout: seconds an inference may take.

    Raises:
        McugenError: unknown engine, a missing program or port, an image for another board.
    """
    if name not in ENGINES:
        raise McugenError(f"engine {name}", "there is no such engine", f"use one of {', '.join(ENGINES)}")
    transport: Transport
    counter, scale = "cycles", 1.0
    if name == "unicorn":
        transport, counter = Simulator(image.elf, image.board).transport(), "instructions"
    elif name == "qemu":
        _check_board(name, image)
        transport = start_qemu(image.elf, count=count)
        counter, scale = ("instructions", INSTRUCTIONS_PER_TICK) if count else ("ticks", 1.0)
    elif name == "renode":
        _check_board(name, image)
        transport, counter = start_renode(image.elf, image.board), "virtual cycles"
    elif port:
        transport = SerialPort(port, int(image.board.uart["baud"]))
    else:
        raise McugenError("engine serial", "no port was given", "name the board's serial port, such as /dev/ttyACM0")
    where = load_symbols(image.elf).describe
    return Device(transport, counter=counter, scale=scale, digest=digest, infer_timeout=timeout, where=where)


def _check_board(engine: str, image: Image) -> None:
    needed = ENGINES[engine]
    if image.board.name != needed:
        raise McugenError(f"engine {engine}", f"cannot run an image for {image.board.name}", f"build it for {needed}")
