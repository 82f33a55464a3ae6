"""The whole way on real faces: build the face network's firmware, boot it on the simulated board, prove its answers.

Writes OUTPUT/firmware/ (the build), OUTPUT/heatmap.png, OUTPUT/embeddings.npy and OUTPUT/demo.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from orl import faces

from mcugen.boards import load_board
from mcugen.build import build
from mcugen.commands.verify import qkeras_installed
from mcugen.errors import McugenError
from mcugen.inputs import to_float
from mcugen.interpret import decode, encode_inputs, interpret
from mcugen.pipeline import compile_graph, integer_graph
from mcugen.quantise import InputGrid
from mcugen.reference import golden
from mcugen.report import text
from mcugen.running import DeviceRunner, open_simulated

MODEL = Path(__file__).parent / "hybrid.h5"
Vectors = NDArray[Any]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, default=Path("build/demo"))
    arguments.add_argument("--people", type=int, default=5)
    arguments.add_argument("--images", type=int, default=3, help="images a person")
    arguments.add_argument("--toolchain", default="auto", choices=["auto", "gcc", "zig"])
    options = arguments.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    print("1. Firmware from the trained network", MODEL.name)
    started = time.monotonic()
    graph = integer_graph(MODEL)
    compiled = compile_graph(graph, load_board("nucleo-h743zi"))
    built = build(compiled, options.output / "firmware", options.toolchain, source=MODEL)
    print(text(built.report))
    print(f"built in {time.monotonic() - started:.1f} s: {built.image.elf}\n")

    print("2. Real faces")
    images, people = faces(people=range(options.people), per_person=options.images)
    print(f"{len(images)} photographs of {len(set(people.tolist()))} people, {images.shape[1:]}\n")

    print("3. That image on a simulated STM32H743, asked over its serial port")
    device = open_simulated("unicorn", built.image, compiled.sources.digest)
    runner = DeviceRunner(graph, device)
    values = to_float("faces", images, InputGrid())
    codes = encode_inputs(graph, [values])
    answers = []
    for i in range(len(images)):
        answers.append(runner.run([codes[0][i : i + 1]])[0])
        print(f"\r{i + 1} of {len(images)}", end="", flush=True)
    device_codes = np.concatenate(answers)
    print(f"\n{runner.cycles[-1]:,} {device.counter} an image, stack {runner.stack_bytes:,} bytes\n")

    print("4. Proof")
    name = graph.outputs[0]
    expected = interpret(graph, codes)[name]
    equal = int((device_codes == expected).sum())
    print(f"device against reference: {equal:,} of {expected.size:,} integers equal")
    embeddings = decode(device_codes, graph[name].type).reshape(len(images), -1)
    result: dict[str, Any] = {"integers": int(expected.size), "equal": equal, "instructions": runner.cycles[-1]}
    result |= against_qkeras(values, embeddings) | distances(embeddings, people)
    np.save(options.output / "embeddings.npy", embeddings)
    draw(embeddings, people, options.output / "heatmap.png")
    (options.output / "demo.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwrote {options.output / 'heatmap.png'}, embeddings.npy, demo.json and firmware/")
    return 0 if equal == expected.size else 1


def against_qkeras(values: Vectors, embeddings: Vectors) -> dict[str, Any]:
    """Equal values and cosine to QKeras in the golden environment; both vectors (N, D)."""
    if not qkeras_installed():
        print("QKeras: not run (pip install 'mcugen[qkeras]')")
        return {"qkeras": "not run"}
    print("asking QKeras ...", flush=True)
    keras = list(golden(MODEL, values).values())[-1].reshape(embeddings.shape)
    cosine = unit(keras) * unit(embeddings)
    same, smallest = int((keras == embeddings).sum()), float(cosine.sum(axis=1).min())
    print(f"device against QKeras: {same:,} of {keras.size:,} values equal, smallest cosine {smallest:.9f}")
    return {"equal_to_qkeras": same, "cosine": smallest}


def distances(embeddings: Vectors, people: Vectors) -> dict[str, Any]:
    """Cosine distances between photographs of one person and of two."""
    distance = 1 - unit(embeddings) @ unit(embeddings).T
    pairs = np.triu_indices(len(people), 1)
    alike = (people[:, None] == people[None, :])[pairs]
    same, other = distance[pairs][alike], distance[pairs][~alike]
    print(f"cosine distance, same person:      {same.mean():.3f} on average, {same.min():.3f} to {same.max():.3f}")
    print(f"cosine distance, different people: {other.mean():.3f} on average, {other.min():.3f} to {other.max():.3f}")
    return {"same_mean": float(same.mean()), "different_mean": float(other.mean())}


def unit(vectors: Vectors) -> Vectors:
    """Vectors (N, D) at length one."""
    return vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)


def draw(embeddings: Vectors, people: Vectors, path: Path) -> None:
    """Heatmap of all distances, people side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    distance = 1 - unit(embeddings) @ unit(embeddings).T
    figure, axis = plt.subplots(figsize=(7, 6))
    shown = axis.imshow(distance, cmap="viridis", vmin=0)
    figure.colorbar(shown, label="cosine distance")
    edges = np.flatnonzero(np.diff(people)) + 0.5
    for edge in edges:
        axis.axhline(edge, color="white", lw=1)
        axis.axvline(edge, color="white", lw=1)
    labels = [f"person {p}" if i == 0 or people[i - 1] != p else "" for i, p in enumerate(people)]
    axis.set_xticks(range(len(people)), labels, rotation=60, ha="right", fontsize=8)
    axis.set_yticks(range(len(people)), labels, fontsize=8)
    axis.set_title("Embeddings computed by the simulated STM32H743")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (McugenError, RuntimeError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(2)
