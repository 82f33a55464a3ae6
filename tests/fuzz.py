"""Random models against QKeras, the reference, the compiled C and the simulator, layer by layer.

    python tests/fuzz.py --count 150 --seed 0 [--simulator 15]

Prints the seed and totals; failures are shrunk and saved under tests/regression/. Exit code 1 on any failure.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.fuzzing.campaign import Campaign  # noqa: E402
from tests.fuzzing.census import census, text  # noqa: E402
from tests.fuzzing.shrink import save_regression  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0, help="of the first model; the others follow")
    parser.add_argument("--simulator", type=int, default=0, help="how many models also run on the simulated board")
    parser.add_argument("--batch", type=int, default=25, help="models a compiler run")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="print every refusal")
    parser.add_argument("--census", action="store_true", help="only count what the models consist of")
    args = parser.parse_args()
    if args.census:
        print(text(census(range(args.seed, args.seed + args.count))))
        return 0
    started = time.monotonic()
    with Campaign(args.simulator, args.batch) as campaign:
        for seed in range(args.seed, args.seed + args.count):
            campaign.add(seed)
            done = seed - args.seed + 1
            if done % 50 == 0:
                print(f"{done} of {args.count} models, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        campaign.finish()
        print(f"seed {args.seed}, {args.count} models, {time.monotonic() - started:.0f} s")
        print(campaign.totals.text(args.verbose))
        for failure in campaign.failures:
            print(f"FAILED seed {failure.seed}: {failure.reason}")
        if not args.no_shrink:
            for failure in campaign.failures[:10]:
                print("saved", save_regression(campaign, failure, HERE / "regression"))
    return 1 if campaign.failures else 0


if __name__ == "__main__":
    sys.exit(main())
