"""Random models against QKeras, the reference, the compiled C and the simulator, layer by layer.

    python tests/fuzz.py --count 150 --seed 0 [--simulator 15]

Prints the seed and totals; failures are shrunk and saved under tests/regression/. Exit code 1 on any failure.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.fuzzing.campaign import Campaign, Failure, Totals, together  # noqa: E402
from tests.fuzzing.census import census, text  # noqa: E402
from tests.fuzzing.shrink import save_regression  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0, help="of the first model; the others follow")
    parser.add_argument("--simulator", type=int, default=0, help="how many models also run on the simulated board")
    parser.add_argument("--batch", type=int, default=25, help="models a compiler run")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with its own TensorFlow")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="print every refusal")
    parser.add_argument("--census", action="store_true", help="only count what the models consist of")
    args = parser.parse_args()
    if args.census:
        print(text(census(range(args.seed, args.seed + args.count))))
        return 0
    started = time.monotonic()
    shares = [range(args.seed + i, args.seed + args.count, args.jobs) for i in range(args.jobs)]
    simulated = [len(range(i, args.simulator, args.jobs)) for i in range(args.jobs)]
    with ProcessPoolExecutor(args.jobs) as pool:
        parts = list(pool.map(work, shares, simulated, [args.batch] * args.jobs))
    failures = [failure for _, found in parts for failure in found]
    print(f"seed {args.seed}, {args.count} models, {time.monotonic() - started:.0f} s")
    print(together([totals for totals, _ in parts]).text(args.verbose))
    for failure in failures:
        print(f"FAILED seed {failure.seed}: {failure.reason}")
    if failures and not args.no_shrink:
        with Campaign() as campaign:
            for failure in failures[:10]:
                print("saved", save_regression(campaign, failure, HERE / "regression"))
    return 1 if failures else 0


def work(seeds: range, simulator: int, batch: int) -> tuple[Totals, list[Failure]]:
    """A share of the models; tells on standard error how far it is, and failures as they come."""
    started, told = time.monotonic(), 0
    with Campaign(simulator, batch) as campaign:
        for number, seed in enumerate(seeds, 1):
            campaign.add(seed)
            if number % 50 == 0 or len(campaign.failures) > told:
                said = f"{number} of {len(seeds)} models, {time.monotonic() - started:.0f} s"
                bad = [f"seed {each.seed}: {each.reason}" for each in campaign.failures[told:]]
                told += len(bad)
                print("\n".join([said, *bad]), file=sys.stderr, flush=True)
        campaign.finish()
        return campaign.totals, campaign.failures


if __name__ == "__main__":
    sys.exit(main())
