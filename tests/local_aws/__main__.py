"""`python -m local_aws`: serve a local AWS for use by hand, in real time, until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import signal
import time

from local_aws.aws import LocalAws


def main() -> None:
    """Serve the accounts given, printing the environment of the first one."""
    # A shell has what it starts in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m local_aws", description="An AWS that runs on this machine.")
    parser.add_argument("accounts", nargs="*", default=["111111111111", "222222222222", "333333333333"])
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("--port", type=int, default=4566)
    arguments = parser.parse_args()
    with LocalAws(arguments.region, port=arguments.port) as aws:
        for account in arguments.accounts:
            aws.create_account(account)
        print(f"# {aws.endpoint_url}, accounts {', '.join(arguments.accounts)}; Ctrl-C ends it")
        for name, value in aws.terraform_environment(arguments.accounts[0]).items():
            print(f"export {name}={shlex.quote(value)}")
        try:
            while True:
                aws.run_until_idle()
                time.sleep(1)
        except KeyboardInterrupt:
            print("\n# ended")


if __name__ == "__main__":
    main()
