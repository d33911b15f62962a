"""Configurations of adapters and of fusion, as names a user types and as JSON that manifests keep."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from adapterstilts.errors import ArtifactError, ExpressionError, unknown
from adapterstilts.models.expression import Merge
from adapterstilts.models.full import FULL, full_config
from adapterstilts.models.layers import layers_text, left_out

_OLD_NAMES = ("pfeiffer", "houlsby", "parallel", "scaled_parallel", "pfeiffer+inv", "houlsby+inv")


def adapter_config(config: str | Mapping[str, Any], *, reduction_factor: float | None = None) -> Any:
    """Return the adapters library's configuration object.

    Args:
        config: a name such as ``seq_bn``, or a full configuration.
        reduction_factor: of bottleneck adapters; None keeps the configuration's own.

    Raises:
        UnknownNameError: there is no such configuration.
        ExpressionError: the configuration has no reduction factor.
    """
    from adapters import ADAPTER_CONFIG_MAP, AdapterConfig

    if isinstance(config, str) and config not in ADAPTER_CONFIG_MAP:
        raise unknown("adapter configuration", config, (*ADAPTER_CONFIG_MAP, FULL))
    try:
        loaded = AdapterConfig.load(config if isinstance(config, str) else copy.deepcopy(dict(config)))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ArtifactError(f"The adapter configuration cannot be read: {error}.") from error
    if reduction_factor is None:
        return loaded
    if not has_reduction_factor(loaded):
        raise ExpressionError(f"The adapter configuration '{config}' has no reduction factor; leave it out.")
    return loaded.replace(reduction_factor=reduction_factor)


def has_reduction_factor(config: Any) -> bool:
    """Tell whether a configuration, or one of that name, is of a bottleneck whose width a factor gives.

    Raises:
        UnknownNameError: there is no configuration of that name.
    """
    return "reduction_factor" in (adapter_config_json(config) if isinstance(config, str) else config.to_dict())


def adapter_config_json(config: str | Mapping[str, Any], *, reduction_factor: float | None = None) -> dict[str, Any]:
    """Return a complete adapter configuration as JSON writes it, or what stands for the backbone itself (``full``).

    Raises:
        UnknownNameError, ExpressionError: as for ``adapter_config``.
    """
    if config == FULL:
        if reduction_factor is not None:
            raise ExpressionError("--adapter full trains the backbone itself; --reduction-factor would have no effect.")
        return full_config()
    plain = plain_json(adapter_config(config, reduction_factor=reduction_factor).to_dict())
    assert isinstance(plain, dict)
    return plain


def config_name(config: Mapping[str, Any]) -> str | None:
    """Return the library's name of a configuration, whatever its reduction factor and layers; None without one."""
    from adapters import ADAPTER_CONFIG_MAP

    def shape(told: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in told.items() if key not in ("reduction_factor", "leave_out")}

    names = (name for name in ADAPTER_CONFIG_MAP if name not in _OLD_NAMES)
    return next((name for name in names if shape(adapter_config_json(name)) == shape(config)), None)


def fusion_config_json() -> dict[str, Any]:
    """Return the configuration of learned fusion with a value matrix (Pfeiffer et al. 2021, equations 1-3)."""
    from adapters import AdapterFusionConfig

    plain = plain_json(AdapterFusionConfig.load("dynamic").to_dict())
    assert isinstance(plain, dict)
    return plain


def check_fusible(configs: Mapping[str, Mapping[str, Any]], top: Mapping[str, Any] | None) -> None:
    """Refuse what the adapters library cannot fuse, before anything is trained.

    Args:
        configs: of the adapters to be fused, by name.
        top: of the adapter that is stacked on the fusion; None where nothing is.

    Raises:
        ExpressionError: an adapter is not a bottleneck, or they sit at different places or layers; names both.
    """
    places = {}
    for name, config in configs.items():
        if "mh_adapter" not in config or "output_adapter" not in config:
            kind = config.get("architecture") or config.get("alias") or "this kind"
            raise ExpressionError(
                f"'{name}' is a {kind} adapter; only bottleneck adapters (seq_bn, double_seq_bn, par_bn) can be fused."
            )
        places[name] = tuple(str(config.get(key)) for key in ("mh_adapter", "output_adapter", "is_parallel"))
    first = next(iter(places))
    for name, place in places.items():
        if place != places[first]:
            raise ExpressionError(
                f"'{first}' and '{name}' cannot be fused: their adapters sit at different places of the layers. "
                "Train both with the same --adapter."
            )
    for name, config in {**configs, **({} if top is None else {"the target adapter": top})}.items():
        if left_out(config) != left_out(configs[first]):
            raise ExpressionError(
                f"'{first}' and {name} cannot stand in one fusion: they are left out of different layers "
                f"({layers_text(left_out(configs[first])) or 'none'} and {layers_text(left_out(config)) or 'none'})."
            )
    fused = configs[first]
    for key, block in (("mh_adapter", "attention"), ("output_adapter", "feed-forward")):
        if top is not None and top.get(key) and not fused.get(key):
            raise ExpressionError(
                f"The target adapter sits after the {block} block of each layer, where the fused adapters "
                f"({', '.join(configs)}) do not; the adapters library cannot stack it on their fusion. Choose "
                "--adapter seq_bn for the target, or train the intermediate ones with the target's --adapter."
            )


def merged_config(merge: Merge, configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the configuration of the adapter that a merge makes, or refuse what cannot be merged.

    Args:
        merge: the method and its options.
        configs: of the adapters, one a part.

    Raises:
        ExpressionError: an adapter is neither a bottleneck nor LoRA, or they differ; names the part and the rule.
    """
    ranks = ("r", "alpha") if merge.method == "svd" else ()
    plain = [{key: value for key, value in config.items() if key not in ranks} for config in configs]
    for part, config, other in zip(merge.parts, configs, plain, strict=True):
        lora = config.get("architecture") == "lora" and config.get("composition_mode") == "add"
        extra = [key for key in ("use_dora", "use_gating", "vera_d") if config.get(key)]
        bottleneck = "mh_adapter" in config and not config.get("phm_layer") and not config.get("use_gating")
        if merge.method == "svd" and (not lora or extra):
            raise ExpressionError(f"'{merge}': svd merges the updates of LoRA, and '{part}' is none (--adapter lora).")
        if not (bottleneck or (lora and not extra)):
            raise ExpressionError(
                f"'{merge}': only bottleneck adapters (seq_bn, double_seq_bn, par_bn) and lora can be merged, and "
                f"'{part}' is neither."
            )
        if other != plain[0]:
            odd = next(key for key in sorted({*other, *plain[0]}) if other.get(key) != plain[0].get(key))
            raise ExpressionError(
                f"'{merge}': '{merge.parts[0]}' and '{part}' differ in {odd} ({plain[0].get(odd)} and "
                f"{other.get(odd)}). Train both with the same --adapter and --reduction-factor."
            )
    if merge.method != "svd":
        return dict(configs[0])
    rank = int(dict(merge.options)["rank"]) or max(int(config["r"]) for config in configs)
    return {**configs[0], "r": rank, "alpha": rank}


def plain_json(value: Any) -> Any:
    """Return a value as JSON would give it back; sets in order, other objects by their text."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
