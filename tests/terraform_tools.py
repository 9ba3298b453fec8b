"""Runs Terraform on copies of this tree, with the provider from a mirror on this machine where there is one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TREE = Path(__file__).resolve().parent.parent

_PROVIDER = Path("registry.terraform.io/hashicorp/aws")
_SOURCES = ("main.tf", "variables.tf", "outputs.tf", "versions.tf", "modules", "examples", "lambda_src")
_LEFT_BEHIND = shutil.ignore_patterns(
    ".terraform", ".terraform.lock.hcl", "*.tfstate*", "*.tfplan", "dist", "__pycache__", "*.egg-info"
)


class TerraformError(Exception):
    """Terraform failed; the message is what it printed."""


def copy_of_tree(destination: Path) -> Path:
    """Copy all that Terraform needs, without what it or Python made, to a new directory."""
    destination.mkdir(parents=True)
    for name in _SOURCES:
        source = TREE / name
        if source.is_dir():
            shutil.copytree(source, destination / name, ignore=_LEFT_BEHIND)
        else:
            shutil.copy2(source, destination / name)
    return destination


@cache
def provider_mirror() -> Path | None:
    """A directory of this machine that holds the AWS provider, for `filesystem_mirror`.

    The environment variable TF_PROVIDER_MIRROR names one; otherwise it is looked for where people keep them.
    """
    if named := os.environ.get("TF_PROVIDER_MIRROR"):
        return Path(named)
    home = Path.home()
    parents = [home / ".terraform.d", home / ".local/share", Path("/usr/local/share"), Path("/usr/share"), Path("/opt")]
    for parent in parents:
        for pattern in ("*", "*/*"):
            for place in sorted(parent.glob(f"{pattern}/{_PROVIDER}")):
                return place.parents[len(_PROVIDER.parts) - 1]
    return None


def terraform_environment(directory: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment to run Terraform in: this process's, without settings for Terraform or AWS, plus `variables`.

    Writes a CLI configuration into the directory if there is a mirror. Otherwise the registry is asked, once.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
    environment = {**inherited, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
    if mirror := provider_mirror():
        configuration = directory / "terraform.rc"
        configuration.write_text(
            f"provider_installation {{\n  filesystem_mirror {{\n    path = {json.dumps(str(mirror))}\n  }}\n}}\n"
        )
        environment["TF_CLI_CONFIG_FILE"] = str(configuration)
    else:
        plugins = Path.home() / ".terraform.d/plugin-cache"
        plugins.mkdir(parents=True, exist_ok=True)
        environment["TF_PLUGIN_CACHE_DIR"] = str(plugins)
        environment["TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"] = "1"
        if configured := os.environ.get("TF_CLI_CONFIG_FILE"):
            environment["TF_CLI_CONFIG_FILE"] = configured
    return {**environment, **variables}


@dataclass(frozen=True)
class Terraform:
    """Terraform in one directory, such as a copy of an example.

    `on_line`, if given, gets each line that Terraform prints while it runs.
    """

    directory: Path
    environment: Mapping[str, str]
    on_line: Callable[[str], None] | None = field(default=None, compare=False)

    def in_directory(self, directory: Path) -> Terraform:
        """The same, in another directory."""
        return replace(self, directory=directory)

    def watched_by(self, on_line: Callable[[str], None]) -> Terraform:
        """The same, telling each line that Terraform prints."""
        return replace(self, on_line=on_line)

    def init(self) -> str:
        """Install providers and modules."""
        return self.run("init")

    def validate(self) -> str:
        """Check the configuration without asking anybody."""
        return self.run("validate")

    def plan(self, *arguments: str, out: Path | None = None) -> bool:
        """Plan, and say whether there is anything to do."""
        saved = () if out is None else (f"-out={out}",)
        exit_code, _ = self._run("plan", "-detailed-exitcode", *saved, *arguments, accepted=(0, 2))
        return exit_code == 2

    def apply(self, *arguments: str) -> str:
        """Apply without asking; the last argument may be a saved plan."""
        return self.run("apply", "-auto-approve", *arguments)

    def destroy(self, *arguments: str) -> str:
        """Destroy everything without asking."""
        return self.run("destroy", "-auto-approve", *arguments)

    def forget(self, address: str) -> None:
        """Take a resource out of the state, and leave it as it is."""
        command = [_terraform(), "state", "rm", address]
        subprocess.check_output(command, cwd=self.directory, env=dict(self.environment), stderr=subprocess.STDOUT)

    def show_json(self, plan: Path) -> dict[str, Any]:
        """A saved plan as `terraform show -json` gives it."""
        shown: dict[str, Any] = json.loads(
            subprocess.check_output(
                [_terraform(), "show", "-json", str(plan)], cwd=self.directory, env=dict(self.environment)
            )
        )
        return shown

    def run(self, *arguments: str) -> str:
        """Run any command of Terraform and return what it printed.

        Raises:
            TerraformError: it failed.
        """
        return self._run(*arguments)[1]

    def _run(self, command: str, *arguments: str, accepted: tuple[int, ...] = (0,)) -> tuple[int, str]:
        with subprocess.Popen(
            [_terraform(), command, "-no-color", *arguments],
            cwd=self.directory,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            lines = []
            try:
                for line in process.stdout or ():
                    lines.append(line)
                    if self.on_line:
                        self.on_line(line.rstrip("\n"))
            except BaseException:
                # Interrupted: what it works on is temporary, so nothing is worth waiting for.
                os.killpg(process.pid, signal.SIGKILL)
                raise
        output = "".join(lines)
        if process.returncode not in accepted:
            raise TerraformError(f"terraform {command} failed in {self.directory}:\n{output}")
        return process.returncode, output


def _terraform() -> str:
    if found := shutil.which("terraform"):
        return found
    raise TerraformError("Terraform 1.9 or newer must be installed: https://developer.hashicorp.com/terraform/install")


def changes(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    """What a plan (as `show_json` gives it) does: addresses and their actions, without what stays as it is."""
    planned = {change["address"]: change["change"]["actions"] for change in plan.get("resource_changes", [])}
    return {address: actions for address, actions in planned.items() if actions not in (["no-op"], ["read"])}
