"""Every family of architectures in timm builds, freezes and takes a training step, from random weights."""

import math

import pytest
import timm
import torch

from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes
from trainyard.models.backbone import layer_numbers
from trainyard.models.transfer import TransferModel
from trainyard.optim.finetune import Finetune

SPEC = DataSpec((3, 32, 32), Classes(("a", "b", "c")), (), (0.5,) * 3, (0.25,) * 3)

# A small member of each family, which is a module of timm's.
SMALL = """
    beit_base_patch16_224 halonet_h1 test_byobnet cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32 test_convnext
    cpubone_nano crossvit_tiny_240 csatv2 cs3darknet_focus_s cspnext_tiny davit_tiny deepseek_vit_412m
    deit_tiny_patch16_224 densenet121 dla46x_c dpn48b edgenext_xx_small efficientformer_l1 efficientformerv2_s0
    test_efficientnet efficientvim_m1 efficientvit_b0 efficientvit_m0 vit_tiny_patch16_dinov3_qkvb fasternet_t0
    fastvit_t8 focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m ghostnet_050 hardcorenas_b hgnetv2_b0 hiera_tiny_224
    sam2_hiera_tiny hrnet_w18_small iformer_t inception_next_atto inception_resnet_v2 inception_v3 inception_v4
    lcnetv2_small levit_128s lowformer_b0 test_mambaout test_coatnet poolformerv2_s12 gmlp_ti16_224
    mobilenetv3_small_050 mobilenetv5_base mobilevit_xxs mvitv2_tiny naflexvit_base_patch16_parfac_gap nasnetalarge
    nest_tiny nextvit_small test_nfnet pit_ti_224 pnasnet5large pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002
    repghostnet_050 repvit_m1 res2next50 resnest14d test_resnet resnetv2_18 rexnet_100 selecsls42 legacy_seresnet18
    sequencer2d_s shvit_s1 skresnet18 starnet_s050 swiftformer_xs swin_tiny_patch4_window7_224
    swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m twins_svt_small
    vgg11 visformer_tiny test_vit vit_tiny_r_s16_p8_224 test_vit_relpos samvit_base_patch16_224 vitamin_small_224
    volo_d1_224 ese_vovnet19b_slim_dw legacy_xception xception41p xcit_nano_12_p8_224
"""

# The smallest image that a member takes, where that is not 32 pixels.
SIZES = {
    "csatv2": 64, "inception_resnet_v2": 96, "inception_v3": 96, "inception_v4": 96, "deepseek_vit_412m": 56,
    "efficientformer_l1": 224, "crossvit_tiny_240": 240, "halonet_h1": 256,
}  # fmt: skip


def members() -> list[str]:
    """Return the small member of each family in this version of timm, or else its first model."""
    chosen = []
    for family in timm.list_modules():
        models = timm.list_models(module=family)
        chosen += next(([name] for name in SMALL.split() if name in models), models[:1])
    return chosen


# A third of them by default; all with the slow tests.
SHARED = [pytest.param(name, marks=pytest.mark.slow if place % 3 else ()) for place, name in enumerate(members())]


@pytest.mark.parametrize("backbone", SHARED)
def test_builds_freezes_and_takes_a_step(backbone: str) -> None:
    torch.manual_seed(0)
    model = TransferModel(SPEC, backbone=backbone, image_size=SIZES.get(backbone, 32))
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    bias = model.head.bias.detach().clone()  # random features may be 0
    groups = model.parameter_groups(total_steps=10, epoch_steps=5)
    optimizer = torch.optim.SGD([{"params": group["params"]} for group in groups], lr=0.1)
    batch = torch.randint(0, 256, (2, *SPEC.input_shape), dtype=torch.uint8), torch.tensor([0, 2])
    loss = model.train().step(batch, "train")
    loss.backward()
    optimizer.step()
    assert float(loss.detach()) == pytest.approx(math.log(3), rel=0.1), "each class has the same probability"
    assert not torch.equal(model.head.bias, bias)
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    after = model.backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("backbone", SHARED)
def test_every_parameter_has_a_layer_and_a_group(backbone: str) -> None:
    with torch.device("meta"):
        net = timm.create_model(backbone, num_classes=0)
        head = torch.nn.Linear(net.head_hidden_size, 3)
    groups = Finetune(unfreeze=[0], layer_decay=0.9).groups(head, net, layer_numbers(net), 10, 5)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(map(id, [*net.parameters(), *head.parameters()]))
    assert len({group["lr_factor"] for group in groups}) > 2, "the backbone has more than one layer"
