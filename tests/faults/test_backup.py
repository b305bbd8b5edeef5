"""The backup of the administrator's guide, done word for word, and started anew from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documented import script
from team import TeamServer, serving, wait_until

pytestmark = pytest.mark.timeout(300)


def do(name: str, places: dict[str, Path]) -> None:
    """Run lines of the guide in a shell, for other places than the guide's."""
    text = script(name)
    for place, path in places.items():
        assert place in text
        text = text.replace(place, str(path))
    subprocess.run(["sh", "-euc", text], check=True, timeout=60, cwd=places["/backup"].parent)


async def test_what_was_backed_up_while_it_ran_comes_up_elsewhere(
    own_team: TeamServer, tmp_path: Path
) -> None:
    own_team.start()
    alice = own_team.member("alice")
    kernel_id = await alice.start_kernel()
    async with alice.connect(kernel_id) as cells:
        await cells.run("open('kept.txt', 'w').write('kept')")
        # A member's databases are files like others, whatever they are called.
        await cells.run("open('own.sqlite', 'w').write('own')")
        await cells.run("open('hub.sqlite', 'w').write('own')")
    (own_team.data_dir / "teamhub.toml").write_text("[kernels]\nper_user = 7\n")
    (tmp_path / "backup.py").write_text(script("backup").replace("python3", sys.executable))
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    do("backup_files", {"/srv/teamhub": own_team.data_dir, "/backup": backup})
    # The old place is as far away as on another machine.
    own_team.stop()
    shutil.rmtree(own_team.data_dir)

    do("restore", {"/srv/teamhub": restored, "/backup": backup})
    with serving(restored) as server:
        assert [account["name"] for account in server.cli("users", "list")] == ["admin", "alice"]
        alice.server = server
        # The token that was made before is still good, and so is what is in the home.
        async with alice.connect(await alice.start_kernel()) as cells:
            assert (await cells.run("print(open('kept.txt').read())")).text == "kept\n"
            names = await cells.run("import glob; print(*sorted(glob.glob('*.sqlite')))")
            assert names.text == "hub.sqlite own.sqlite\n"
        (running,) = wait_until(
            "the old kernel is gone",
            lambda: [k for k in (server.cli("kernels", "list"),) if len(k) == 1],
        )[0]
        assert running["id"] != kernel_id
        status, model = await alice.kernel(kernel_id)
        assert (status, model["reason"]) == (200, "vanished")
    for path in (backup / "teamhub", *(backup / "teamhub").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, f"others can read {path}"
