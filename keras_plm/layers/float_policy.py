"""The dtype policy of a model before any of its layers was quantized."""

import keras


def float_policy(policy):
    """Return the policy that a new layer beside quantized ones takes.

    Args:
        policy: `keras.DTypePolicy`, one of a quantized layer, or a `DTypePolicyMap` of a model
            with quantized layers.

    Returns:
        `keras.DTypePolicy` of floats, such as "mixed_bfloat16".
    """
    if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        policy = policy.default_policy
    if policy.quantization_mode is None:
        return policy
    return keras.DTypePolicy(policy.name.split("_from_", 1)[1])
