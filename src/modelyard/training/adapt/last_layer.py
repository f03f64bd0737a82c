"""Last layers, and what they are given, which is computed once for each network and split.

N samples, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from modelyard.data.datasets import Split
from modelyard.errors import TrainingError
from modelyard.evaluation.predict import predict_logits
from modelyard.files import make_folder, sha256_of_json, write_atomically
from modelyard.models.network import members

MOST_BYTES = 2_000_000_000
"""Of all features that are kept; those not used for longest go first."""


@dataclass(frozen=True, slots=True)
class LastLayer:
    """The linear layer that gives a network's logits."""

    network: nn.Module
    layer: nn.Linear

    def features(self, split: Split, device: torch.device) -> Tensor:
        """What the layer is given of samples as the network takes them, float32 [N, D], on the CPU."""
        with self._giving_inputs():
            return predict_logits(self.network, split, device)

    def kept_features(self, split: Split, device: torch.device, folder: Path, facts: object) -> Tensor:
        """`features`, read from `folder` where they are there; `facts` tell besides weights and rows what
        they depend on.
        """
        rows = b"" if split.rows_N is None else split.rows_N.tobytes()
        about = [facts, len(split), sha256(rows + split.few.tobytes()).hexdigest(), self._digest()]
        path = folder / f"{sha256_of_json(about)[:32]}.safetensors"
        if path.is_file():
            path.touch()
            return load_file(path)["features"]
        features_ND = self.features(split, device)
        if features_ND.nbytes < MOST_BYTES:
            write_atomically(make_folder(folder) / path.name, save({"features": features_ND.contiguous()}))
            _sweep(folder)
        return features_ND

    def _digest(self) -> str:
        digest = sha256(f"{torch.__version__} {self.network}".encode())
        own = {id(value) for value in self.layer.state_dict(keep_vars=True).values()}
        for name, value in sorted(self.network.state_dict(keep_vars=True).items()):
            if id(value) not in own:
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @contextmanager
    def _giving_inputs(self) -> Iterator[None]:
        """Within, the network gives what its last layer is given."""
        given = list[Tensor]()
        hooks = [
            self.layer.register_forward_pre_hook(lambda _layer, inputs: given.append(inputs[0])),
            self.network.register_forward_hook(lambda _network, _inputs, _logits_BK: given.pop()),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def last_layers(model: nn.Module, num_classes: int, few: Split, device: torch.device) -> list[LastLayer]:
    """Of the networks that answer together, or of the one. `few` are samples to try it on.

    Raises: TrainingError where a network does not end with a linear layer.
    """
    layers = [LastLayer(network, network.head) for network in members(model).values()]
    if not layers:
        linear = [
            module
            for module in model.modules()
            if isinstance(module, nn.Linear) and module.out_features == num_classes
        ]
        layers = [LastLayer(model, layer) for layer in linear[-1:]]
    if not layers or not all(_gives_logits(layer, few, device) for layer in layers):
        raise TrainingError(
            f"finetune.mode: expected a network whose last layer is an nn.Linear with {num_classes} outputs, "
            f"received {type(model).__name__}, which ends otherwise; --set finetune.mode=full"
        )
    return layers


def _gives_logits(last: LastLayer, few: Split, device: torch.device) -> bool:
    try:
        features_ND, logits_NK = last.features(few, device), predict_logits(last.network, few, device)
    except IndexError:  # it is not called at all
        return False
    with torch.inference_mode():
        again_NK = last.layer(features_ND.to(device)).cpu() if features_ND.ndim == 2 else features_ND
    return again_NK.shape == logits_NK.shape and torch.allclose(again_NK, logits_NK, rtol=1e-3, atol=1e-4)


def _sweep(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    for path in files:
        if total <= MOST_BYTES:
            return
        total -= path.stat().st_size
        path.unlink(missing_ok=True)
