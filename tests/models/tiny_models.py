"""Tiny models with random weights, written by `save_pretrained` as real ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PARSED = {
    "pure_text": {},
    "description_with_bboxes": {},
    "ocr": {"PATTERN": r"(.+?)" + r"<loc_(\d+)>" * 8, "AREA_THRESHOLD": 0.0},
}
WORDS = ("a", "photo", "of", "cat", "dog", "street", "red", "walnut", "table")
TINY: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def tokenizer(
    *special: str, length: int = 16, named: dict[str, str] | None = None
) -> PreTrainedTokenizerFast:
    names = ["<pad>", "<s>", "</s>", "<unk>", *special, *WORDS]
    known = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="<unk>"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    known.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=known,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=length,
        extra_special_tokens=named or {},
    )


def save(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def clip(folder: Path) -> Path:
    torch.manual_seed(0)
    text = {"vocab_size": 50, "max_position_embeddings": 16, "eos_token_id": 2, **TINY}
    vision = {"image_size": 32, "patch_size": 16, **TINY}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    images = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = transformers.CLIPProcessor(image_processor=images, tokenizer=tokenizer())
    return save(folder, transformers.CLIPModel(config), processor)


def siglip(folder: Path) -> Path:
    torch.manual_seed(0)
    text = {"vocab_size": 50, "max_position_embeddings": 16, **TINY}
    vision = {"image_size": 32, "patch_size": 16, **TINY}
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    images = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    processor = transformers.SiglipProcessor(image_processor=images, tokenizer=tokenizer())
    return save(folder, transformers.SiglipModel(config), processor)


def yolos(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.YolosConfig(
        image_size=[32, 48],
        patch_size=16,
        num_detection_tokens=5,
        id2label={0: "cat", 1: "dog"},
        label2id={"cat": 0, "dog": 1},
        **TINY,
    )
    images = transformers.YolosImageProcessor(size={"shortest_edge": 32, "longest_edge": 48})
    return save(folder, transformers.YolosForObjectDetection(config), images)


def florence(folder: Path) -> Path:
    torch.manual_seed(0)
    places = [f"<loc_{i}>" for i in range(1000)]
    marks = ("<image>", "<od>", "</od>", "<ocr>", "</ocr>")
    known = tokenizer(*marks, *places, length=64, named={"image_token": "<image>"})
    vision = {
        "depths": [1],
        "patch_size": [7],
        "patch_stride": [4],
        "patch_padding": [3],
        "patch_prenorm": [False],
        "embed_dim": [16],
        "num_heads": [2],
        "num_groups": [2],
        "window_size": 4,
        "projection_dim": 16,
        "max_position_embeddings": 20,
    }
    text = {
        "model_type": "bart",
        "vocab_size": len(known),
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
    }
    config = transformers.Florence2Config(
        vision_config=vision,
        text_config=text,
        image_token_id=known.convert_tokens_to_ids("<image>"),
    )
    images = transformers.CLIPImageProcessor(
        size={"height": 32, "width": 32}, do_center_crop=False, resample=3
    )
    images.image_seq_length = 65  # 8 × 8 places and their mean
    processor = transformers.Florence2Processor(
        image_processor=images, tokenizer=known, post_processor_config=PARSED
    )
    model = transformers.Florence2ForConditionalGeneration(config)
    return save(folder, model, processor)


def llava(folder: Path) -> Path:
    """A model that is talked to."""
    torch.manual_seed(0)
    known = tokenizer("<image>", length=64, named={"image_token": "<image>"})
    token = known.convert_tokens_to_ids("<image>")
    vision = {"model_type": "clip_vision_model", "image_size": 32, "patch_size": 16, **TINY}
    vision |= {"num_hidden_layers": 2}
    text = {"model_type": "llama", "vocab_size": len(known), "num_key_value_heads": 2, **TINY}
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=token, image_token_index=token
    )
    images = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    template = "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}"
    processor = transformers.LlavaProcessor(
        image_processor=images,
        tokenizer=known,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    return save(folder, transformers.LlavaForConditionalGeneration(config), processor)
