"""The embedded backbone's shape: Qwen2.5-VL, a few million weights, 112-pixel pictures."""

from transformers import Qwen2_5_VLConfig

PICTURE_SIZE = 112
VOCABULARY = 1536


def nano_config(vocabulary: int, special: dict[str, int]) -> Qwen2_5_VLConfig:
    """Configuration of the embedded backbone.

    Args:
        vocabulary: number of token rows.
        special: id of every special token.
    """
    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "vocab_size": vocabulary,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 6, 6],
            },
            "bos_token_id": None,
            "eos_token_id": special["<|im_end|>"],
            "pad_token_id": special["<|endoftext|>"],
            "tie_word_embeddings": False,
        },
        vision_config={
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "out_hidden_size": 192,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1, 3],
        },
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        tie_word_embeddings=False,
    )
