"""Sessions as Jupyter clients know them, on the store's: which notebook uses which kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

from teamhub.errors import NotFoundError, TeamhubError
from teamhub.gateway import schemas, wire
from teamhub.gateway.kernel import Kernel
from teamhub.gateway.kernels import Kernels
from teamhub.gateway.kernelspecs import Kernelspec
from teamhub.store import Store
from teamhub.store.sessions import Session


class NotebookSessions:
    """Finds a notebook's kernel again, and never starts a second one for it.

    Args:
        store: where sessions are kept.
        kernels: the living kernels.
    """

    def __init__(self, store: Store, kernels: Kernels) -> None:
        self._sessions = store.sessions
        self._kernels = kernels
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def list(self, owner: str) -> Sequence[schemas.Session]:
        """Return an owner's sessions with their kernels."""
        models = []
        for session in await self._sessions.of(owner):
            kernel = await self._kernel(session)
            if kernel is not None:
                models.append(_model(session, kernel))
        return models

    async def get(self, owner: str, session_id: str) -> schemas.Session:
        """Return one session. Raises NotFoundError."""
        session = await self._session(owner, session_id)
        kernel = await self._kernel(session)
        if kernel is None:
            raise NotFoundError(f"there is no session {session_id[:64]!r}")
        return _model(session, kernel)

    async def open(
        self,
        owner: str,
        path: str,
        *,
        name: str,
        type_: str,
        spec: Kernelspec | None,
        kernel: Kernel | None,
        working_dir: str,
    ) -> schemas.Session:
        """Return the session of a path, made now where there is none with a living kernel.

        Args:
            spec: what to start where there is no living kernel yet.
            kernel: the kernel to use instead; then the session is bound to it in any case.
        """
        async with self._locks.setdefault((owner, path), asyncio.Lock()):
            session = await self._sessions.at(owner, path)
            present = await self._kernel(session) if session is not None else None
            if session is not None and present is not None:
                usable = present.execution_state != "dead"
                if kernel is present or (kernel is None and usable):
                    return _model(session, present)
            chosen = kernel
            if chosen is None:
                assert spec is not None
                chosen = await self._kernels.create(
                    owner, spec, working_dir=working_dir, env={"JPY_SESSION_NAME": path}
                )
            if session is not None:
                session = await self._sessions.change(
                    owner, session.id, kernel_id=chosen.workload.id, name=name, type_=type_
                )
                return _model(session, chosen)
            session = await self._sessions.add(owner, path, name, type_, chosen.workload.id)
            if session.kernel_id != chosen.workload.id and kernel is None:
                # Another gateway was quicker: its kernel stays, ours goes.
                await self._kernels.delete(chosen)
                chosen = await self._kernels.get(owner, session.kernel_id)
            return _model(session, chosen)

    async def change(
        self,
        owner: str,
        session_id: str,
        *,
        path: str | None,
        name: str | None,
        type_: str | None,
        kernel: Kernel | None,
        spec: Kernelspec | None,
    ) -> schemas.Session:
        """Change what is not None; return the session.

        A kernel of another kernelspec is started in place of the present one, which is stopped
        where no other session uses it.

        Raises:
            NotFoundError: there is no such session.
            RefusedError: the path is taken.
        """
        session = await self._session(owner, session_id)
        before = await self._kernel(session)
        made = None
        if (
            kernel is None
            and spec is not None
            and (
                before is None
                or before.workload.name != spec.name
                or before.execution_state == "dead"
            )
        ):
            working_dir = before.workload.spec.get("working_dir", "") if before else ""
            kernel = made = await self._kernels.create(
                owner, spec, working_dir=working_dir, env={"JPY_SESSION_NAME": path or session.path}
            )
        try:
            session = await self._sessions.change(
                owner,
                session_id,
                path=path,
                name=name,
                type_=type_,
                kernel_id=kernel.workload.id if kernel else None,
            )
        except TeamhubError:
            if made is not None:
                await self._kernels.delete(made)
            raise
        if kernel is not None and before is not None and before is not kernel:
            others = await self._sessions.of(owner)
            if all(other.kernel_id != before.workload.id for other in others):
                await self._kernels.delete(before)
        present = kernel or before
        if present is None:
            raise NotFoundError(f"the kernel of session {session_id[:64]!r} is gone")
        return _model(session, present)

    async def delete(self, owner: str, session_id: str) -> None:
        """End a session and its kernel. Raises NotFoundError where there is none."""
        session = await self._session(owner, session_id)
        await self._sessions.delete(owner, session_id)
        kernel = await self._kernel(session)
        others = await self._sessions.of(owner)
        if kernel is not None and all(o.kernel_id != session.kernel_id for o in others):
            await self._kernels.delete(kernel)

    async def _session(self, owner: str, session_id: str) -> Session:
        found = None
        if wire.is_text(session_id):
            found = await self._sessions.get(owner, session_id)
        if found is None:
            raise NotFoundError(f"there is no session {session_id[:64]!r}")
        return found

    async def _kernel(self, session: Session) -> Kernel | None:
        try:
            return await self._kernels.get(session.owner, session.kernel_id)
        except NotFoundError:
            return None


def _model(session: Session, kernel: Kernel) -> schemas.Session:
    model: schemas.Session = {
        "id": session.id,
        "path": session.path,
        "name": session.name,
        "type": session.type,
        "kernel": kernel.model,
    }
    if session.type == "notebook":
        model["notebook"] = {"path": session.path, "name": session.name}
    return model
