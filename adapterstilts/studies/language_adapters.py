"""Language adapters: trained on plain text, found again in the store, chosen for each language of an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapterstilts.data.network import hub_reachable, model_cached
from adapterstilts.errors import ArtifactError, SettingsError, unknown
from adapterstilts.evaluation.typology import nearest
from adapterstilts.models.backbone import identify, input_limit
from adapterstilts.models.composition import BOTTOM
from adapterstilts.models.full import FULL
from adapterstilts.models.identity import BackboneIdentity
from adapterstilts.models.languages import KIND, LanguageAdapter, language_config, put_on_language
from adapterstilts.models.layers import left_out
from adapterstilts.models.saved import members_of, read_adapter, read_composition
from adapterstilts.progress import Reporter
from adapterstilts.store.artifacts import Artifact, Store
from adapterstilts.tasks.spec import DEFAULT_SUITE, LAB, TaskSpec, base_suite
from adapterstilts.tasks.suites import Suite, get_suite
from adapterstilts.training import adapter_hub
from adapterstilts.training.adapter_hub import CONFIG, import_language
from adapterstilts.training.languages import language_stage
from adapterstilts.training.settings import TrainingSettings
from adapterstilts.training.stages import StageResult, TrainingStage, run_stage

WAYS = ("madx",)
"""What ``--language-adapters`` takes."""
FALLBACKS = ("none", "english", "nearest")
"""What may stand at the bottom for a language without an adapter: nothing, the source's, or the nearest language's."""


def train_language(
    language: str,
    *,
    texts: Sequence[Any] = (),
    suite: str = DEFAULT_SUITE,
    backbone: str | None = None,
    revision: str | None = None,
    store: Any = None,
    settings: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
    report_to: tuple[str, ...] = (),
) -> StageResult:
    """Train the adapter of a language on a frozen backbone, unless the same was trained before.

    Args:
        language: code of a language of the suite.
        texts: files of plain text in it, a document or sentence a line; may be left out in the lab, which makes text.
        suite, backbone, revision, store, settings, reporter, report_to: as for ``train_intermediate``.

    Raises:
        AdapterStiltsError: says what is wrong and what to do; nothing is stored then.
    """
    world = get_suite(suite)
    name = backbone or world.backbone
    stage = language_stage(language, world, identify(name, revision), texts=list(map(str, texts)), settings=settings)
    stage.check_length(input_limit(name, revision))
    return run_stage(stage, Store(store), reporter=reporter, report_to=report_to)


@dataclass(frozen=True)
class LanguageChoice:
    """What the user said about language adapters."""

    given: Mapping[str, str] = field(default_factory=dict)
    """Id, folder or Hub id of the adapter to take, by code of the language that it is taken for."""
    fallback: str | None = None
    """One of ``FALLBACKS`` for languages without an adapter; None trains them in the lab, and is an error elsewhere."""

    @classmethod
    def read(cls, given: Sequence[str], fallback: str | None, world: Suite) -> LanguageChoice:
        """Read what the user typed.

        Args:
            given: texts such as ``sw=language.sw-0123456789ab``.
            fallback: name of a fallback, or None.
            world: the suite, which knows the languages.

        Raises:
            SettingsError: a text is not of this form, or names a language a second time.
            UnknownNameError: there is no such language or fallback, or the suite knows no distances for ``nearest``.
        """
        chosen: dict[str, str] = {}
        for text in given:
            code, sign, what = text.partition("=")
            if not (sign and code and what):
                raise SettingsError(f"--language-adapter '{text}' is not of the form LANG=ARTIFACT.")
            if world.language(code).code in chosen:
                raise SettingsError(f"--language-adapter names an adapter for '{code}' twice.")
            chosen[code] = what
        if fallback is not None and fallback not in FALLBACKS:
            raise unknown("language fallback", fallback, FALLBACKS)
        if fallback == "nearest" and world.distance_between is None:
            raise SettingsError(
                f"--language-fallback nearest needs the distances between languages, which the suite '{world.name}' "
                "does not have. Name the adapter to take instead, as in --language-adapter bg=ru's, or give "
                "--language-fallback english or none."
            )
        return cls(chosen, fallback)


def checked_choice(
    way: str | None,
    given: Sequence[str],
    fallback: str | None,
    task: TaskSpec,
    settings: TrainingSettings,
    world: Suite,
) -> LanguageChoice | None:
    """Return what the user said about language adapters, None where he wants none.

    Args:
        way: what ``--language-adapters`` says.
        given, fallback, world: as for ``LanguageChoice.read``.
        task: the target.
        settings: of its training.

    Raises:
        SettingsError, UnknownNameError: as for ``LanguageChoice.read``; or an option would have no effect.
    """
    if way is None:
        if idle := [name for name, value in (("adapter", given), ("fallback", fallback)) if value]:
            flags = " and ".join(f"--language-{name}" for name in idle)
            raise SettingsError(f"{flags} would have no effect without --language-adapters {WAYS[0]}.")
        return None
    if way not in WAYS:
        raise unknown("way to use language adapters", way, WAYS)
    if not task.trained:
        raise SettingsError(
            f"'{task.name}' trains nothing that could lie on a language adapter; leave --language-adapters out."
        )
    if settings.adapter == FULL:
        raise SettingsError(
            f"--adapter {FULL} trains the backbone itself, which cannot be stacked on a language adapter; leave "
            "--language-adapters out, or choose another --adapter."
        )
    return LanguageChoice.read(given, fallback, world)


@dataclass
class LanguageAdapters:
    """Finds the adapters of languages, for one backbone and suite."""

    choice: LanguageChoice
    world: Suite
    backbone: BackboneIdentity
    store: Store
    train: bool
    """Whether adapters may be trained; only the lab has the text for it."""
    reporter: Reporter
    trained: list[StageResult] = field(default_factory=list)
    """What was trained, in order."""
    _told: set[str] = field(default_factory=set)

    def check(self, codes: Sequence[str], plain: TrainingStage) -> None:
        """Refuse what cannot work, before anything is trained.

        Args:
            codes: of the evaluated languages.
            plain: the target's stage without other adapters.

        Raises:
            ArtifactError: a language has no adapter, and none can be trained here; or one that the user named has
                another configuration than the source's.
            ExpressionError: the target's adapter cannot be put on the source's.
            SettingsError: a row is in two languages.
        """
        if pairs := [code for code in codes if "-" in code]:
            raise SettingsError(
                f"Rows of '{pairs[0]}' are in two languages, so that no language adapter suits them. Leave "
                "--language-adapters out, or choose a target whose rows are in one language each."
            )
        source = self.world.source_language
        found, dropped = self._found(source, None), plain.settings.dropped
        config: Mapping[str, Any] | None = None
        if found is not None:
            config = _config(found)
        elif self.world.name == LAB:
            config = self._stage(source, {}).composition.adapters[BOTTOM]
        if config is not None:
            config = put_on_language(plain.composition, config, dropped).adapters[BOTTOM]
        others = [
            code for code in codes if code != source and not (self.choice.fallback and code not in self.choice.given)
        ]
        lacking = [code for code in others if self._found(code, config) is None]
        if found is None or lacking:
            self._check_trainable([*([source] if found is None else []), *lacking])

    def source(self) -> Artifact:
        """Return the adapter of the source language, on which target adapters are trained.

        Raises:
            ArtifactError: there is none, and none can be trained.
        """
        code = self.world.source_language
        found = self._found(code, None)
        if found is None:
            self._check_trainable([code])
            self.reporter.message(f"Not in the store, trained first: the language adapter of {code}")
            found = self._trained(code, {})
        return found

    def of(
        self, codes: Sequence[str], own: LanguageAdapter, like: Artifact, dropped: Collection[int] = ()
    ) -> dict[str, LanguageAdapter | None]:
        """Return the adapter that is at the bottom for each evaluated language, None where there is none.

        Args:
            codes: of the languages.
            own: the source language's, which is a part of the composition.
            like: an artifact with that adapter: others are of the same configuration, or cannot take its place.
            dropped: layers in which the composition leaves it out, beside those that ``like`` does.

        Raises:
            ArtifactError: a language has none, and no fallback is given; or one has another configuration.
        """
        config = language_config(_config(like), dropped)
        found: dict[str, LanguageAdapter | None] = {self.world.source_language: own}
        for code in codes:
            if code not in found and (artifact := self._found(code, config)) is not None:
                found[code] = LanguageAdapter.of(artifact)
        lacking = [code for code in codes if code not in found]
        if lacking and self.choice.fallback is None:
            self._check_trainable(lacking)
            self.reporter.message(f"Not in the store, trained first: the language adapters of {', '.join(lacking)}")
            settings = like.manifest["settings"]
            shape = {name: settings.get(name) for name in ("adapter", "reduction_factor")}
            for code in lacking:
                artifact = self._trained(code, shape)
                self._check_config(artifact, config)
                found[code] = LanguageAdapter.of(artifact)
        elif lacking:
            found |= self._fallbacks(lacking, found, own, config)
        return {code: found[code] for code in codes}

    def stages(self, source: Artifact, chosen: Mapping[str, LanguageAdapter | None]) -> list[dict[str, Any]]:
        """Return the adapters of the store that are used as documents tell stages, those that were trained now first.

        Args:
            source: the source language's.
            chosen: by evaluated language, as from ``of``.
        """
        new = {result.artifact.fingerprint for result in self.trained}
        used = {source.fingerprint, *(one.fingerprint for one in chosen.values() if one is not None)}
        known = [artifact for key in sorted(used - new) if (artifact := self.store.find(key)) is not None]
        known.sort(key=lambda artifact: artifact.id)
        return [result.to_json() for result in (*self.trained, *(StageResult(one, True, 0.0) for one in known))]

    def _fallbacks(
        self,
        lacking: Sequence[str],
        found: Mapping[str, LanguageAdapter | None],
        own: LanguageAdapter,
        config: Mapping[str, Any],
    ) -> dict[str, LanguageAdapter | None]:
        if self.choice.fallback == "none":
            return dict.fromkeys(lacking)
        if self.choice.fallback == "english":
            return dict.fromkeys(lacking, own)
        assert self.world.distance_between is not None
        known = dict(found)  # the source first, which wins where several are equally near
        for code in self.world.languages:
            if code not in known and code not in lacking and (artifact := self._found(code, config)) is not None:
                known[code] = LanguageAdapter.of(artifact)
        return {code: known[nearest(code, known, self.world.distance_between)] for code in lacking}

    def _found(self, code: str, config: Mapping[str, Any] | None) -> Artifact | None:
        """Return the adapter that the user gave for a language, else the newest one of the store.

        Args:
            code: of the language.
            config: configuration that it has to have; None is any.
        """
        if code in self.choice.given:
            artifact = self._given(code, self.choice.given[code])
            if artifact.kind != KIND:
                raise ArtifactError(
                    f"--language-adapter {code}={self.choice.given[code]}: '{artifact.id}' is of kind "
                    f"'{artifact.kind}', not '{KIND}'. See `adapterstilts runs --kind {KIND}`."
                )
            self.backbone.require_same(artifact.manifest["backbone"], what=f"The language adapter '{artifact.id}'")
            if config is not None:
                self._check_config(artifact, config)
            return artifact

        def fits(artifact: Artifact) -> bool:
            told, suite = artifact.manifest.get("backbone", {}), base_suite(artifact.suite)
            same = all(told.get(key) == value for key, value in self.backbone.key.items())
            same = same and (suite, artifact.manifest.get("language")) == (base_suite(self.world.name), code)
            return same and (config is None or _fits(_config(artifact), config))

        candidates = self.store.all(KIND, fits)
        if len(candidates) > 1 and code not in self._told:
            self._told.add(code)
            self.reporter.message(
                f"{code}: {candidates[-1].id}, the newest of {len(candidates)} adapters of it; choose another "
                f"with --language-adapter {code}=ID"
            )
        return candidates[-1] if candidates else self._of_the_hub(code, config)

    def _given(self, code: str, what: str) -> Artifact:
        """Return the artifact that the user named: of the store, a folder of the adapters library, or a Hub id."""
        folder = Path(what).expanduser()
        if (folder / CONFIG).is_file():
            return import_language(folder, code, self.world.name, self.backbone, self.store)
        if what.count("/") == 1 and not what.startswith((".", "~", "/")) and not folder.exists():
            return import_language(adapter_hub.download(what), code, self.world.name, self.backbone, self.store)
        return self.store.get(what)

    def _of_the_hub(self, code: str, config: Mapping[str, Any] | None) -> Artifact | None:
        """Return AdapterHub's adapter of a language, None where it has none or the Hub cannot be reached."""
        name = adapter_hub.hub_id(code, self.backbone)
        if name is None or not (hub_reachable() or model_cached(name)):
            return None
        self.reporter.message(f"{code}: {name}, from the Hub")
        artifact = import_language(adapter_hub.download(name), code, self.world.name, self.backbone, self.store)
        return artifact if config is None or _fits(_config(artifact), config) else None

    def _check_config(self, artifact: Artifact, config: Mapping[str, Any]) -> None:
        own = _config(artifact)
        if not _fits(own, config):
            odd = next(key for key in sorted({*own, *config}) if own.get(key) != config.get(key))
            raise ArtifactError(
                f"The language adapter '{artifact.id}' cannot take the place of that of "
                f"'{self.world.source_language}': they differ in {odd} ({own.get(odd)} and {config.get(odd)})."
            )

    def _check_trainable(self, codes: Sequence[str]) -> None:
        """Refuse to go on where adapters are missing and cannot be trained here."""
        lab = self.world.name == LAB
        if lab and self.train:
            self.store.check_writable()
            return
        suite = "" if self.world.name == DEFAULT_SUITE else f" --suite {self.world.name}"
        text = "" if lab else " --text FILE"
        commands = "".join(
            f"\n  adapterstilts train-language {code}{text}{suite} --backbone {self.backbone.id}" for code in codes
        )
        others = [code for code in codes if code != self.world.source_language]
        ways = " Or give --language-fallback none, english or nearest." if others else ""
        raise ArtifactError(
            f"The store {self.store.home} has no language adapter for {', '.join(codes)} on '{self.backbone.id}'. Name "
            f"one with --language-adapter LANG=ARTIFACT, or train it:{commands}{chr(10) if ways else ''}{ways.strip()}"
        )

    def _trained(self, code: str, settings: Mapping[str, Any]) -> Artifact:
        result = run_stage(self._stage(code, settings), self.store, reporter=self.reporter)
        self.trained.append(result)
        return result.artifact

    def _stage(self, code: str, settings: Mapping[str, Any]) -> TrainingStage:
        stage = language_stage(code, self.world, self.backbone, settings=settings)
        stage.check_length(input_limit(self.backbone.id, self.backbone.hub_revision))
        return stage


def _config(artifact: Artifact) -> dict[str, Any]:
    """Return the configuration of the language adapter that an artifact is, or has at its bottom."""
    if artifact.kind == KIND:
        return read_adapter(artifact)[1]
    return dict(read_composition(members_of(artifact)[0]).adapters[BOTTOM])


def _fits(config: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether an adapter can take another's place: of the same configuration, with no layer less."""
    one, other = ({**each, "leave_out": None} for each in (config, wanted))
    return one == other and left_out(config) <= left_out(wanted)
