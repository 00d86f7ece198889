"""The images on the node, pulled from a registry that has every image (`Node.image`). One that is there stays what it
was when it was pulled, whatever is said of it since; pulled again, its tags go over to what the registry has by then.

An image is known by many names: its id, any unique prefix of the id, and each tag and digest in any spelling that means
the same reference. Names that lead to one manifest are names of one image; removing any of them removes it with all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from runtimes.model import ImageFacts
from runtimes.request import ImageSpec, Int64Value
from shim import images as registry
from shim.engine import codec
from shim.engine.ground import refuse
from shim.engine.identities import AmbiguousError, Ids
from shim.engine.values import Image, ImageStatusView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.persona import Persona
    from shim.engine.ground import Ground

_HEX = re.compile(r"[0-9a-f]+")
_SHA256 = "sha256:"


class Images:
    """All images. Few, so all in memory."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._facts: dict[str, ImageFacts] = {}
        self._names: dict[str, str] = {}
        self._ids = Ids()
        for (body,) in ground.store.rows("SELECT facts FROM images ORDER BY seq"):
            self._remember(codec.decode(body, ImageFacts))
        self.pin()

    def pin(self) -> None:
        """Have the pause image of every runtime of the node in force; those are pinned, and no others."""
        personas = [entry.runtime.persona for entry in self._ground.node.entries.values()]
        personas.append(self._ground.persona())
        self._pinned = {self.ensure(persona.pause_image).id for persona in personas}

    def ensure(self, name: str) -> ImageFacts:
        """Return an image, pulled if it is not there. Raises `BadInput` where `name` is no reference."""
        found = self.find(name)
        return self._pull(name) if found is None else found

    def find(self, name: str) -> ImageFacts | None:
        """Return the image that a name or an id means. Raises `BadInput` for the prefix of several ids."""
        if name.removeprefix(_SHA256) in self._facts:
            return self._facts[name.removeprefix(_SHA256)]
        try:
            known = self._names.get(registry.normalise(name))
        except BadInput:
            known = None  # not a reference, so at most an id
        digits = name.removeprefix(_SHA256)
        if known is None and _HEX.fullmatch(digits):
            try:
                known = self._ids.find(digits)
            except AmbiguousError:
                raise BadInput(f"multiple IDs found with provided prefix: {digits}", where="image") from None
        return None if known is None else self._facts[known]

    def resolve(self, name: str) -> tuple[ImageFacts, str] | None:
        """Return the image that a name or an id means and the reference by which the node knows it."""
        facts = self.find(name)
        if facts is None:
            return None
        try:
            reference = registry.normalise(name)
        except BadInput:
            reference = ""
        if self._names.get(reference) is None:
            reference = (*facts.repo_tags, *facts.repo_digests, facts.id)[0]
        return facts, reference

    def pull(self, spec: ImageSpec | None) -> str:
        """PullImage."""
        persona = self._persona(spec)
        name = spec.image if spec else ""
        if not name:
            refuse(persona, "PullImage.no-image")
            raise BadInput("no image is named", where="request", field="image")
        return persona.pulled_ref(self._pull(name))

    def status(self, spec: ImageSpec | None, *, verbose: bool) -> ImageStatusView:
        """ImageStatus."""
        persona = self._persona(spec)
        if spec is None or not spec.image:
            refuse(persona, "ImageStatus.no-image")
            return ImageStatusView()
        facts = self.find(spec.image)
        if facts is None:
            return ImageStatusView()
        return ImageStatusView(image=self._shown(facts, persona), info=persona.image_info(facts) if verbose else {})

    def list(self, filter: ImageSpec | None) -> list[Image]:
        """ListImages."""
        persona = self._persona(filter)
        if filter is None or not filter.image:
            return [self._shown(facts, persona) for facts in self._facts.values()]
        found = self.find(filter.image)
        return [] if found is None else [self._shown(found, persona)]

    def remove(self, spec: ImageSpec | None) -> None:
        """RemoveImage."""
        if spec is None or not spec.image:
            refuse(self._persona(spec), "RemoveImage.no-image")
            return
        facts = self.find(spec.image)
        if facts is None:
            return
        key = _key(facts)
        with self._ground.store.change():
            self._ground.store.write("DELETE FROM images WHERE id = ?", key)
        del self._facts[key]
        self._ids.discard(key)
        self._names = {name: owner for name, owner in self._names.items() if owner != key}

    def usage(self) -> tuple[int, int]:
        """Return the bytes and the number of files that all images take."""
        return sum(facts.size for facts in self._facts.values()), len(self._facts)

    def _pull(self, name: str) -> ImageFacts:
        facts = self._ground.node.image(name)
        key = _key(facts)
        owner = next((self._names[each] for each in facts.repo_digests if each in self._names), key)
        there = self._facts.get(owner)
        if there is not None:
            tags, digests = _joined(there.repo_tags, facts.repo_tags), _joined(facts.repo_digests, there.repo_digests)
            is_another_name = owner != key
            facts = msgspec.structs.replace(there if is_another_name else facts, repo_tags=tags, repo_digests=digests)
        with self._ground.store.change():
            changed = (*self._without(facts.repo_tags, owner), facts)
            for each in changed:
                self._ground.store.write(
                    "INSERT INTO images (id, facts) VALUES (?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET facts = excluded.facts",
                    *(_key(each), codec.encode(each)),
                )
        for each in changed:
            self._remember(each)
        return facts

    def _without(self, tags: tuple[str, ...], owner: str) -> Iterator[ImageFacts]:
        """Yield the images that lose some of these tags to another one; they keep their digests."""
        for key in dict.fromkeys(self._names[tag] for tag in tags if tag in self._names):
            if key != owner:
                old = self._facts[key]
                yield msgspec.structs.replace(old, repo_tags=tuple(each for each in old.repo_tags if each not in tags))

    def _remember(self, facts: ImageFacts) -> None:
        key = _key(facts)
        if key not in self._facts:
            self._ids.add(key)
        self._facts[key] = facts
        self._names |= dict.fromkeys((*facts.repo_tags, *facts.repo_digests), key)

    def _persona(self, spec: ImageSpec | None) -> Persona:
        return self._ground.persona(spec.runtime_handler if spec else None)

    def _shown(self, facts: ImageFacts, persona: Persona) -> Image:
        return Image(
            id=persona.image_id(facts),
            repo_tags=facts.repo_tags,
            repo_digests=facts.repo_digests,
            size=facts.size,
            uid=Int64Value(value=facts.uid) if facts.user and facts.uid is not None else None,
            username=facts.username,
            pinned=facts.id in self._pinned,
        )


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _key(facts: ImageFacts) -> str:
    return facts.id.removeprefix(_SHA256)
