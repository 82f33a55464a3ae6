"""Train a face embedding network with quantization in the loop, on aligned LFW faces.

    python train.py --lfw lfw_aligned_112.tar --network hybrid_a --output hybrid.h5

With ``--init FLOAT.h5`` the float twin's trained weights are the start (with --float of another --size too): ``--epochs 0``
quantizes them as they are (post-training quantization); more epochs train on, with --fine-tune at once at the full margin
and with the statistics of normalizations fixed, and keep the network as it was before beside the result (OUTPUT.ptq.h5).
``--teacher FILE.h5`` adds knowledge distillation: the cosines between the images of a batch are drawn to the teacher's.

An ArcFace head (dropped afterwards) separates the persons with two images or more (``--least-images``). All persons of
folds 1 and 2 of ``pairs.txt`` are held out and score the embeddings: the threshold is chosen on one fold and scored on the
other, both ways, without flip averaging. Writes the network alone to ``--output``, and the curve, scores, versions and
command line beside it (.json, .png).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import sys
import time
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import lfw
import matplotlib
import mobilefacenet
import networks
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from qkeras.utils import load_qmodel

from mcugen.metrics.pairs import Pair, images_of, person_of

HELD_OUT_FOLDS = (1, 2)
BATCH = 64
LEARNING_RATE = 2e-3
WARMUP = 0.05  # share of the steps over which the learning rate rises
SCALE = 30.0  # of the cosines in the ArcFace logits
MARGIN = 0.3  # radians
MARGIN_EPOCHS = 8  # over which the margin rises from zero
SCORE_EVERY = 3  # epochs
DISTILLATION = 100.0  # weight of the squared differences of cosines
CALIBRATION_IMAGES = 256  # for the ranges of activations
CALIBRATION_BATCHES = 30  # for the statistics of normalizations
NETWORKS = networks.NETWORKS | mobilefacenet.NETWORKS

Pixels = npt.NDArray[np.uint8]
Model = Any
Tensor = Any


@dataclass(frozen=True)
class Data:
    """Training images (N, size, size, 3) with labels (N,), and the held-out images by name with their pairs."""

    images: Pixels
    labels: npt.NDArray[np.int64]
    held_out: dict[str, Pixels]
    pairs: list[Pair]


def load(source: Path, pairs_file: Path, size: int, least: int = 2) -> Data:
    """Split LFW: persons of the held-out folds score, the others with ``least`` images or more train."""
    pairs = lfw.pairs_of(pairs_file, HELD_OUT_FOLDS)
    scored = images_of(pairs)
    held_out_people = {person_of(name) for name in scored}
    everything = lfw.read_images(source, size)
    people: dict[str, list[str]] = {}
    for name in everything:
        people.setdefault(person_of(name), []).append(name)
    groups = [names for person, names in people.items() if len(names) >= least and person not in held_out_people]
    return Data(
        images=np.stack([everything[name] for names in groups for name in names]),
        labels=np.repeat(np.arange(len(groups)), [len(names) for names in groups]),
        held_out={name: everything[name] for name in scored},
        pairs=pairs,
    )


def augmented(images: Pixels, rng: np.random.Generator) -> Tensor:
    """Flip, shift by up to 6%, scale by up to 8%, change brightness, contrast and colour: (N, size, size, 3) in [-1, 1)."""
    count = len(images)
    centre = 0.5 + rng.uniform(-0.06, 0.06, (count, 2))
    half = np.repeat(0.5 * rng.uniform(0.92, 1.08, (count, 1)), 2, axis=1)
    half[:, 1] *= rng.choice([-1.0, 1.0], count)
    boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    pixels = tf.image.crop_and_resize(
        networks.normalized(images), boxes, np.arange(count), images.shape[1:3], extrapolation_value=0.0
    )
    contrast = rng.uniform(0.75, 1.25, (count, 1, 1, 1)) * rng.uniform(0.95, 1.05, (count, 1, 1, 3))
    brightness = rng.uniform(-0.2, 0.2, (count, 1, 1, 1))
    return tf.clip_by_value(pixels * contrast.astype(np.float32) + brightness.astype(np.float32), -1.0, 127 / 128)


def arcface_loss(embeddings: Tensor, centres: Tensor, labels: Tensor, margin: Tensor) -> Tensor:
    """Mean cross-entropy of the cosines to the ``centres`` (128, classes), the own angle widened by ``margin``."""
    cosine = tf.nn.l2_normalize(embeddings, axis=1) @ tf.nn.l2_normalize(centres, axis=0)
    cosine = tf.clip_by_value(cosine, -0.9999, 0.9999)
    widened = cosine * tf.cos(margin) - tf.sqrt(1.0 - cosine**2) * tf.sin(margin)
    own = tf.one_hot(labels, tf.shape(centres)[1])
    logits = SCALE * (own * widened + (1.0 - own) * cosine)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


@dataclass(frozen=True)
class Recipe:
    """How to train: epochs, seed, peak learning rate, and whether to fine-tune.

    start: the network that fine-tuning begins with, None for a new one; then the margin is full at once, the class
    centres are the mean of two embeddings of each person by it, and normalizations keep the statistics of a few batches.
    teacher: a network whose embeddings are imitated, or None.
    """

    epochs: int
    seed: int
    rate: float = LEARNING_RATE
    start: Model = None
    teacher: Model = None


class Trainer:
    """Trains ``model`` on ``data`` by a recipe, with class centres that are thrown away."""

    def __init__(self, model: Model, data: Data, recipe: Recipe) -> None:
        self.model, self.data, self.recipe = model, data, recipe
        self.steps = len(data.labels) // BATCH
        self.rng = np.random.default_rng(recipe.seed)
        self.centres = tf.Variable(self._first_centres(), name="centres")
        total = recipe.epochs * self.steps
        warmup = int(WARMUP * total)
        rate = tf.keras.optimizers.schedules.CosineDecay(
            0.0, total - warmup, warmup_target=recipe.rate, warmup_steps=warmup
        )
        self.optimizer = tf.keras.optimizers.Adam(rate)
        self.step = tf.function(self._step, reduce_retracing=True)

    def _first_centres(self) -> Tensor:
        classes = int(self.data.labels.max()) + 1
        if self.recipe.start is None:
            return tf.random.normal((networks.EMBEDDING_SIZE, classes), stddev=0.01)
        labels = self.data.labels
        chosen = np.flatnonzero(np.r_[True, True, labels[2:] != labels[:-2]])  # the first two images of each person
        found = tf.nn.l2_normalize(embeddings_of(self.recipe.start, self.data.images[chosen]), axis=1)
        return tf.transpose(tf.math.unsorted_segment_mean(found, labels[chosen], classes))

    def _step(self, images: Tensor, labels: Tensor, margin: Tensor) -> Tensor:
        variables = [*self.model.trainable_variables, self.centres]
        with tf.GradientTape() as tape:
            embeddings = self.model(images, training=self.recipe.start is None)
            loss = arcface_loss(embeddings, self.centres, labels, margin)
            if self.recipe.teacher is not None:
                loss += distillation_loss(embeddings, imitated(self.recipe.teacher, images))
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(
            (gradient, variable) for gradient, variable in zip(gradients, variables, strict=True) if gradient is not None
        )
        return loss

    def epoch(self, number: int) -> float:
        """Run epoch ``number`` (from 0) and return the mean loss."""
        order = self.rng.permutation(len(self.data.labels))
        rising = MARGIN_EPOCHS if self.recipe.start is None else 0
        losses = []
        for step in range(self.steps):
            chosen = np.sort(order[step * BATCH : (step + 1) * BATCH])
            margin = MARGIN * min(1.0, (number + step / self.steps) / rising) if rising else MARGIN
            images = augmented(self.data.images[chosen], self.rng)
            losses.append(self.step(images, tf.constant(self.data.labels[chosen]), tf.constant(margin, tf.float32)))
        return float(np.mean(losses))


def imitated(teacher: Model, images: Tensor) -> Tensor:
    """The teacher's embeddings of images, which are resized where it takes others."""
    size = teacher.input_shape[1:3]
    same = tuple(images.shape[1:3]) == tuple(size)
    return teacher(images if same else tf.image.resize(images, size, antialias=True), training=False)


def distillation_loss(embeddings: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference between the cosines of every two images by the network and by the teacher, weighted.

    Angles between images, not the embeddings themselves: the two networks need not agree on directions (Tung and Mori,
    "Similarity-Preserving Knowledge Distillation", ICCV 2019).
    """
    own, teachers = (tf.nn.l2_normalize(each, axis=1) for each in (embeddings, wanted))
    return DISTILLATION * tf.reduce_mean(tf.square(own @ tf.transpose(own) - teachers @ tf.transpose(teachers)))


def build(args: argparse.Namespace, data: Data) -> tuple[Model, Model]:
    """The network to train or quantize and, where given, that of ``--init``, whose weights it has (else None)."""
    make = NETWORKS[args.network]
    if args.network in mobilefacenet.NETWORKS:
        make = partial(make, size=args.size)
    if args.activation_bits != 8:
        make = partial(make, activation_bits=args.activation_bits)
    if args.init is None:
        return make(quantized=not args.float), None
    first = load_qmodel(args.init, compile=False)
    if args.network not in mobilefacenet.NETWORKS:
        model = make(quantized=not args.float)
        model.set_weights(first.get_weights())
        return model, first
    if args.float:
        model = make(quantized=False)
        mobilefacenet.resized(first, model)
        return model, first
    chosen = np.random.default_rng(args.seed).choice(len(data.images), CALIBRATION_IMAGES, replace=False)
    ranges = mobilefacenet.calibrated_ranges(first, networks.normalized(data.images[np.sort(chosen)]))
    model = make(ranges=ranges, alpha=args.alpha)
    mobilefacenet.transfer(first, model)
    return model, first


def recalibrate(model: Model, images: Pixels, seed: int) -> None:
    """Renew the statistics of the normalizations by some batches of the network as it is now quantized."""
    forward = tf.function(lambda x: model(x, training=True), reduce_retracing=True)
    rng = np.random.default_rng(seed)
    for _ in range(CALIBRATION_BATCHES):
        forward(networks.normalized(images[np.sort(rng.choice(len(images), BATCH, replace=False))]))


def embeddings_of(model: Model, images: Pixels) -> npt.NDArray[np.float32]:
    """The raw embeddings (N, 128) of images (N, size, size, 3), by QKeras's own arithmetic: Grappler would round otherwise."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    infer = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    batches = [infer(networks.normalized(images[i : i + BATCH])).numpy() for i in range(0, len(images), BATCH)]
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    return np.concatenate(batches)


def embed(model: Model, images: dict[str, Pixels]) -> dict[str, npt.NDArray[np.float32]]:
    """The raw embedding (128,) of every image."""
    return dict(zip(images, embeddings_of(model, np.stack(list(images.values()))), strict=True))


def save(model: Model, path: Path) -> None:
    """Write the inference network to ``path`` (.h5), replacing the file in one piece."""
    partial = path.with_suffix(".part.h5")
    model.save(partial, include_optimizer=False)
    partial.replace(path)


def write_record(record: dict[str, Any], output: Path) -> None:
    """Write the record beside ``output`` as .json, and its training curve, if there is one, as .png."""
    output.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, loss_axis = pyplot.subplots(figsize=(7, 4))
    curve = record["curve"]
    scored = [(row["epoch"], 100 * row["accuracy"]) for row in curve if "accuracy" in row]
    if not curve:
        return
    loss_axis.plot([row["epoch"] for row in curve], [row["loss"] for row in curve], color="tab:blue")
    loss_axis.set(xlabel="epoch", ylabel="ArcFace loss (blue)", title=f"{record['network']}, {record['arithmetic']}")
    accuracy_axis = loss_axis.twinx()
    accuracy_axis.plot(*zip(*scored, strict=True), "o-", color="tab:red")
    accuracy_axis.set(ylabel="held-out accuracy, % (red)")
    figure.savefig(output.with_suffix(".png"), dpi=90, bbox_inches="tight")
    pyplot.close(figure)


def versions() -> dict[str, str]:
    """Versions of what the result depends on."""
    packages = ("tensorflow-cpu", "tf_keras", "qkeras", "numpy", "pillow")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in packages}


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lfw", type=Path, required=True, help="aligned LFW: a folder or a tar file of Person/*.jpg")
    parser.add_argument("--pairs", type=Path, help="pairs.txt (default: beside or in --lfw)")
    parser.add_argument("--network", choices=NETWORKS, default="hybrid_a")
    parser.add_argument("--float", action="store_true", help="train the float twin, without quantizers")
    parser.add_argument("--activation-bits", type=int, default=8, choices=(8, 16), help="16: not for qmobilefacenet")
    parser.add_argument("--alpha", default="auto", choices=("auto", "auto_po2"), help="weight scales of qmobilefacenet")
    parser.add_argument("--size", type=int, default=mobilefacenet.SIZE, help="of images, in pixels; qmobilefacenet only")
    parser.add_argument("--init", type=Path, help="weights to start from: the float twin, or a network of the same layers")
    parser.add_argument("--fine-tune", action="store_true", help="with --init: full margin, fixed normalizations")
    parser.add_argument("--teacher", type=Path, help="a trained network to imitate; images are resized for it")
    parser.add_argument("--least-images", type=int, default=2, help="train on persons with so many images or more")
    parser.add_argument("--rate", type=float, default=LEARNING_RATE, help="peak learning rate")
    parser.add_argument("--epochs", type=int, default=40, help="0 only quantizes the weights of --init")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, help="the .h5 to write; .json and .png go beside it")
    return parser.parse_args()


def main() -> None:
    """Train, score, save."""
    args = arguments()
    tf.keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()
    beside = args.lfw if args.lfw.is_dir() else args.lfw.parent
    size = args.size if args.network in mobilefacenet.NETWORKS else lfw.IMAGE_SIZE
    data = load(args.lfw, args.pairs or beside / "pairs.txt", size, args.least_images)
    print(f"{len(data.labels)} images of {data.labels.max() + 1} people to train, {len(data.pairs)} pairs to score")
    model, first = build(args, data)
    teacher = load_qmodel(args.teacher, compile=False) if args.teacher else None
    record: dict[str, Any] = {
        "network": args.network,
        "arithmetic": "float" if args.float else "quantized",
        "input_size": size,
        "command": shlex.join(["python", *(argument.rsplit("/", 1)[-1] for argument in sys.argv)]),
        "seed": args.seed,
        "versions": versions(),
        "train": {"images": len(data.labels), "people": int(data.labels.max()) + 1},
        "curve": [],
    }
    if first is not None:
        save(model, args.output.with_suffix(".ptq.h5") if args.epochs else args.output)
        record["before_training"] = lfw.verification(data.pairs, embed(model, data.held_out))
        print("before training", json.dumps(record["before_training"]), flush=True)
    if args.fine_tune:
        recalibrate(model, data.images, args.seed)
    if args.epochs:
        begin = model if args.float else first
        trainer = Trainer(model, data, Recipe(args.epochs, args.seed, args.rate, begin if args.fine_tune else None, teacher))
    for number in range(args.epochs):
        start = time.monotonic()
        row = {"epoch": number + 1, "loss": trainer.epoch(number), "seconds": time.monotonic() - start}
        last = number + 1 == args.epochs
        if last or (number + 1) % SCORE_EVERY == 0:
            save(model, args.output)
            saved = load_qmodel(args.output, compile=False) if last else model
            row |= lfw.verification(data.pairs, embed(saved, data.held_out))
        if not math.isfinite(row["loss"]):
            raise RuntimeError(f"training diverged in epoch {number + 1}: lower the learning rate or change --seed")
        print(" ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
        record["curve"].append(row)
    scored = record["curve"][-1] if args.epochs else record["before_training"]
    record["scores"] = {key: value for key, value in scored.items() if key.startswith(("accuracy", "auc"))}
    write_record(record, args.output)
    print(json.dumps(record["scores"]))


if __name__ == "__main__":
    main()
