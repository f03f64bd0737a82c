"""ONNX from weights that a GPU trained, and onnxruntime's providers. B batch, H height, W width, C channels,
K classes.
"""

from __future__ import annotations

from functools import partial

import onnxruntime
import torch

from benchmarks.gpu.part import Bench
from benchmarks.gpu.steps import flag
from benchmarks.gpu.trainings import Training
from modelyard.bundle import MODEL_FILE, Manifest, write_golden, write_manifest
from modelyard.errors import ModelyardError
from modelyard.export.deployed import TorchDeployed, torch_probabilities
from modelyard.export.onnx import DeployedModel, export_onnx, operator_counts
from modelyard.export.parity import answers_of, check_parity
from modelyard.inference.session import latencies_ms, open_session
from modelyard.samples.signature import Signature
from modelyard.training.fitted import Build, TorchFitted


def exported(bench: Bench) -> None:
    """Weights that the GPU trained, exported and verified on the CPU as every bundle is, and asked on the
    GPU, too.
    """
    for architecture in bench.architectures:
        with bench.case(architecture):
            training = Training.at(bench, f"trains {architecture} sprint")
            model, dataset = training.model()
            folder = bench.scratch / f"bundle-{architecture}"
            folder.mkdir()
            build = Build.of(training.job.model, dataset.train, dataset.classes)
            exported = TorchDeployed(TorchFitted(model, build), 1.0)
            deployed = exported.module
            signature = Signature.of_classifier(dataset.form, len(dataset.classes))
            export_onnx(deployed, dataset.form, folder / MODEL_FILE, {})
            some_BHWC = signature.raw(dataset.test.gather(slice(256)))
            answers_BK = torch_probabilities(deployed, some_BHWC[:16])
            write_golden(folder, signature.input.name, some_BHWC[:16], answers_BK)
            manifest = Manifest(
                model_name="gpu",
                architecture=architecture,
                classes=dataset.classes,
                signature=signature,
                temperature=1.0,
                data_digest=dataset.digest,
                recipe={},
                metrics={},
                environment={},
                files={},
            )
            write_manifest(folder, manifest)
            report = check_parity(folder, answers_of(exported, dataset.test), dataset.test)
            lstm = (
                {"LSTM_nodes": operator_counts(folder / MODEL_FILE).get("LSTM", 0)}
                if architecture == "rnn"
                else {}
            )
            cpu_BK = torch.from_numpy(torch_probabilities(deployed, some_BHWC))
            differences = {}
            for title, is_allowed in (("gpu_to_cpu", True), ("gpu_to_cpu_without_TF32", False)):
                with flag("allow_tf32", is_allowed), torch.inference_mode():
                    gpu_BK = deployed.to(bench.device)(torch.tensor(some_BHWC, device=bench.device))[1].cpu()
                differences[title] = float((gpu_BK - cpu_BK).abs().max())
            bench.note(
                architecture,
                images=report.samples,
                onnx_to_cpu=report.max_difference,
                wrong_labels=report.label_mismatches,
                **differences,
                **lstm,
            )


def providers(bench: Bench) -> None:
    """onnxruntime's providers for GPUs beside torch; what is not there is refused by name, never replaced."""
    offered = onnxruntime.get_available_providers()
    bench.note("offered", providers=offered)
    bundle = bench.scratch / f"bundle-{bench.architectures[0]}"
    if not bundle.is_dir():
        bench.note("no bundle", why="the parts trains and exported have to run before")
        return
    for provider in ("CUDAExecutionProvider", "TensorrtExecutionProvider"):
        with bench.case(provider):
            try:
                session = open_session(bundle / MODEL_FILE, provider=provider)
            except ModelyardError as error:
                bench.note(provider, refused=str(error))
                continue
            training = Training.at(bench, f"trains {bench.architectures[0]} sprint")
            model, dataset = training.model()
            deployed = DeployedModel(model, 1.0).eval().to(bench.device)
            for batch in (1, 64):
                images_BHWC = dataset.form.encoding.raw(dataset.test.gather(slice(batch)))
                tensor_BHWC = torch.tensor(images_BHWC, device=bench.device)

                def eager(tensor_BHWC: torch.Tensor = tensor_BHWC) -> torch.Tensor:
                    answer_BK: torch.Tensor = deployed(tensor_BHWC)[1]  # noqa: B023 - called here
                    return answer_BK.cpu()

                with torch.inference_mode():
                    ours, theirs = latencies_ms([partial(session.run, None, {"images": images_BHWC}), eager])
                used = session.get_providers()[0]
                bench.note(provider, batch=batch, used=used, ms=ours.p50, torch_ms=theirs.p50)
