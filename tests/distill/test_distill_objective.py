"""Terms and gradients on stored features equal those of the plain path, for every adapter."""

import pytest
import torch
from bench.whole_model import encode_whole, whole_terms
from tiny_distill import make_model, small_adapter, stored_cases, write_backbone, write_pictures

from skingpt_r1.distill.features import FeaturePass, patch_stored
from skingpt_r1.distill.losses import TERMS, combine
from skingpt_r1.distill.objective import StoredCases, collate
from skingpt_r1.distill.recipe import LossWeights
from skingpt_r1.distill.store import FeatureStore, write_store
from skingpt_r1.distill.trainer import make_trained
from skingpt_r1.errors import FeatureStoreError, TeacherError

ADAPTERS = {
    "bias on pixels": {},
    "bias on tower": {"visual": {"features": "tower"}},
    "bias with experts": {"visual": {"layers": "experts", "num_experts": 4}},
    "bias with injection": {"visual": {"features": "tower", "inject": True}},
    "lora on pixels": {"text_adapter": "lora", "lora": {"rank": 2}},
    "lora with injection": {
        "text_adapter": "lora",
        "lora": {"rank": 2},
        "visual": {"features": "tower", "inject": True},
    },
    "lora in the tower": {
        "text_adapter": "lora",
        "lora": {"rank": 2, "tower": True},
        "visual": {"features": "tower", "inject": True},
    },
    "lora in the tower, adapter on pixels": {
        "text_adapter": "lora",
        "lora": {"rank": 2, "tower": True, "merger": False},
    },
    "lora alone": {
        "text_adapter": "lora",
        "lora": {"rank": 2},
        "visual": {"features": "tower", "layers": "none"},
    },
    "lora without merger": {
        "text_adapter": "lora",
        "lora": {"rank": 2, "merger": False},
        "visual": {"features": "tower", "inject": True},
    },
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return stored_cases(write_pictures(tmp_path_factory.mktemp("pictures"), 6), width=8)


def _batch(model, cases, dtype="fp32"):
    features = FeaturePass(model, cases, dtype=dtype, batch_size=4)(range(len(cases)))
    return collate([case | {"weight": torch.ones(())} for case in features], pad_id=0)


@pytest.mark.parametrize("name", ADAPTERS)
def test_stored_terms_and_gradients_equal_the_plain_ones(name, backbone, cases):
    config = small_adapter(teacher_dim=8, **ADAPTERS[name])
    model = make_model(backbone, config, stir=0.1)
    trained = make_trained(model)
    batch = _batch(model, cases)
    gradients = []
    values = []
    for terms in (
        trained.objective(batch),
        whole_terms(model, encode_whole(model.processor, cases)),
    ):
        model.zero_grad()
        combine(terms, LossWeights()).backward()
        gradients.append({name: p.grad.clone() for name, p in trained.state.items()})
        values.append(terms)
    for term, stored, plain in zip(TERMS, *values, strict=True):
        assert stored.total.item() == pytest.approx(plain.total.item(), rel=2e-5), term
        assert stored.count.item() == plain.count.item(), term
    for key, plain in gradients[1].items():
        difference = (gradients[0][key] - plain).norm()
        assert difference <= 1e-5 * plain.norm() + 1e-9, (key, difference / plain.norm())


def test_counts_of_a_batch_are_those_of_its_terms(backbone, cases):
    model = make_model(backbone, small_adapter(teacher_dim=8))
    batch = _batch(model, cases)
    terms = make_trained(model).objective(batch)
    assert batch["counts"].tolist() == [term.count.item() for term in terms]


def test_a_filler_takes_part_in_nothing_and_still_has_gradients(backbone, cases):
    model = make_model(backbone, small_adapter(teacher_dim=8), stir=0.1)
    trained = make_trained(model)
    features = FeaturePass(model, cases[:1], dtype="fp32", batch_size=4)([0])
    batch = collate([features[0] | {"weight": torch.zeros(())}], pad_id=0)
    terms = trained.objective(batch)
    assert [term.total.item() for term in terms] == [0, 0, 0, 0]
    assert batch["counts"].tolist() == [0, 0, 0, 0]
    combine(terms, LossWeights()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in trained.state.values())


def test_every_trained_weight_has_a_gradient_without_a_teacher(backbone, cases):
    without = [case.__class__(case.case, case.narrative, None) for case in cases]
    for name in ("bias on pixels", "lora with injection"):
        model = make_model(backbone, small_adapter(**ADAPTERS[name]), stir=0.1)
        trained = make_trained(model)
        combine(trained.objective(_batch(model, without)), LossWeights()).backward()
        assert all(p.grad is not None for p in trained.state.values())


def test_pixels_are_stored_as_bytes_and_patched_as_the_processor_does(backbone, cases):
    model = make_model(backbone, small_adapter())
    batch = _batch(model, cases)
    assert batch["pixels"].dtype == torch.uint8
    assert batch["images"].tolist() == [1, 1, 1, 2, 1, 1]
    patches = patch_stored(batch["pixels"], batch["grids"], patch=14, merge=2, temporal=2)
    plain = encode_whole(model.processor, cases)
    assert torch.allclose(patches, plain["pixel_values"], atol=1e-5)


def test_patches_of_another_normalisation_are_refused(backbone, cases):
    model = make_model(backbone, small_adapter())
    model.processor.image_processor.image_mean = [0.5, 0.5, 0.5]
    try:
        with pytest.raises(FeatureStoreError, match="normalisation"):
            _batch(model, cases)
    finally:
        model.processor.image_processor.image_mean = [0.48145466, 0.4578275, 0.40821073]


def test_missing_teacher_vectors_are_listed(backbone, cases):
    model = make_model(backbone, small_adapter(teacher_dim=8))
    broken = [*cases[:2], cases[2].__class__(cases[2].case, cases[2].narrative, None)]
    with pytest.raises(TeacherError, match="case-2") as error:
        FeaturePass(model, broken, dtype="fp32", batch_size=4)
    assert error.value.case_ids == ("case-2",)


def test_features_through_the_disk_are_the_same(backbone, cases, tmp_path):
    model = make_model(backbone, small_adapter(teacher_dim=8))
    compute = FeaturePass(model, cases, dtype="bf16", batch_size=4)
    write_store(tmp_path, {"test": 1}, [c.case.id for c in cases], compute, shard_cases=4)
    stored = StoredCases(FeatureStore(tmp_path))
    direct = [*compute(range(4)), *compute(range(4, 6))]
    for index, case in enumerate(direct):
        for name, tensor in case.items():
            assert torch.equal(stored[index][name], tensor), name
