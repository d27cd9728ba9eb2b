"""The optimizers of the papers, and the one that tasks are trained with by default.

Each is an `AdamWeightDecay`. What the papers say, what their released code does where that is
more, and what nobody has said:

| | betas | epsilon | decay | does not decay | correction | clipping |
|---|---|---|---|---|---|---|
| BERT | .9, .999 | 1e-6 | .01 | norms, biases | no | 1 |
| XLNet | .9, .999 | 1e-6 | .01 | norms, biases; but the three of attention do | no | 1 |
| RoBERTa | .9, .98 | 1e-6 | .01 | - | yes | - |
| GPT-1 | .9, .999 | 1e-8 | .01 | norms, biases | yes, of the decay too | 1 |
| GPT-2 | not published | | | | | |
| GPT-3 | .9, .95 | 1e-8 | .1 | not published | not published | 1 |
"""

from keras_plm.tasks.optimizers.adam_weight_decay import AdamWeightDecay


def bert_optimizer(learning_rate, weight_decay=0.01, bias_correction=False, **options):
    """BERT's: the moments are not corrected, norms and biases do not decay.

    Fine-tuning with few examples is steadier with the correction (arXiv:2006.05987, section 4;
    arXiv:2006.04884, section 5), which is the default of the tasks.

    Args:
        learning_rate: float or schedule. BERT's: 1e-4 for pretraining, 2e-5 to 5e-5 after it, each
            with linear warm-up and linear decay to 0; see `WarmupPolynomialDecay`.
        weight_decay: float.
        bias_correction: bool. Whether the moments are corrected, which BERT's are not.
        options: arguments of `AdamWeightDecay`, instead of these or besides.

    Returns:
        `AdamWeightDecay`, gradients clipped to a global norm of 1.

    Source: BERT, arXiv:1810.04805, appendix A.2; `optimization.py` of google-research/bert.
    """
    return _optimizer(learning_rate, weight_decay, bias_correction, options)


def xlnet_optimizer(learning_rate, weight_decay=0.01, bias_correction=None, **options):
    """XLNet's: BERT's, and plain Adam where nothing decays.

    The biases of its attention (`content_bias`, `position_bias` and `segment_bias`, the code's
    `r_w_bias`, `r_r_bias` and `r_s_bias`) are vectors that take a query's place: they decay. Not
    here: smaller steps of lower layers (table 8, "layer-wise lr decay", for SQuAD).

    Args:
        learning_rate: float or schedule. XLNet's: 4e-4 for pretraining, 1e-5 to 3e-5 after it,
            each with linear warm-up and linear decay; see `WarmupPolynomialDecay`.
        weight_decay: float. 0.01 in the paper; the released scripts of RACE and SQuAD have 0.
        bias_correction: bool or None. Whether the moments are corrected. None: as in the released
            code, where `weight_decay` is 0.
        options: arguments of `AdamWeightDecay`, instead of these or besides.

    Returns:
        `AdamWeightDecay`, gradients clipped to a global norm of 1.

    Source: XLNet, arXiv:1906.08237, tables 7 and 8; `model_utils.py` of zihangdai/xlnet.
    """
    if bias_correction is None:
        bias_correction = not weight_decay
    return _optimizer(learning_rate, weight_decay, bias_correction, options)


def roberta_optimizer(learning_rate, weight_decay=0.01, bias_correction=True, **options):
    """RoBERTa's: a shorter memory of squares, everything decays, nothing is clipped.

    Args:
        learning_rate: float or schedule. RoBERTa's: 6e-4 (base) and 4e-4 (large) for pretraining,
            1e-5 to 3e-5 after it, each with linear warm-up and linear decay.
        weight_decay: float. 0.01; for fine-tuning on GLUE and RACE 0.1.
        bias_correction: bool. Whether the moments are corrected.
        options: arguments of `AdamWeightDecay`, instead of these or besides.

    Returns:
        `AdamWeightDecay`.

    Source: RoBERTa, arXiv:1907.11692, sections 2.4 and 3.1, tables 9 and 10; `optim/adam.py` of
    fairseq, which knows no names.
    """
    published = {"beta_2": 0.98, "no_decay": (), "global_clipnorm": None}
    return _optimizer(learning_rate, weight_decay, bias_correction, {**published, **options})


def gpt1_optimizer(learning_rate, weight_decay=0.01, bias_correction=True, **options):
    """GPT-1's: norms and biases do not decay, and the first steps decay others less.

    Args:
        learning_rate: float or schedule. GPT-1's: 2.5e-4 for pretraining, after 2000 steps of
            linear warm-up along a cosine to 0; 6.25e-5 after it, with linear decay.
        weight_decay: float.
        bias_correction: bool. Whether the moments are corrected, and the decay as they are.
        options: arguments of `AdamWeightDecay`, instead of these or besides.

    Returns:
        `AdamWeightDecay`, gradients clipped to a global norm of 1.

    Source: GPT (Radford et al. 2018), section 4.1 ("all non bias or gain weights"); `opt.py` and
    `train.py` of openai/finetune-transformer-lm. The clipping and the betas are those of the
    released fine-tuning; for pretraining the paper names none.
    """
    published = {"epsilon": 1e-8, "corrected_decay": True}
    return _optimizer(learning_rate, weight_decay, bias_correction, {**published, **options})


def gpt2_optimizer(learning_rate, weight_decay=0.01, bias_correction=True, **options):
    """GPT-1's, for GPT-2: its own was published nowhere, neither in the paper nor as code.

    The paper says that the model "largely follows the details" of GPT-1, names the changes, and
    the optimizer is not among them; the learning rates were tuned by hand and are not given.

    Args:
        learning_rate: float or schedule.
        weight_decay: float.
        bias_correction: bool. As for `gpt1_optimizer`.
        options: arguments of `AdamWeightDecay`, instead of these or besides.

    Returns:
        `AdamWeightDecay`, gradients clipped to a global norm of 1.

    Source: GPT-2 (Radford et al. 2019), section 2.3.
    """
    return gpt1_optimizer(learning_rate, weight_decay, bias_correction, **options)


def gpt3_optimizer(learning_rate, weight_decay=0.1, bias_correction=True, **options):
    """GPT-3's: a short memory of squares, much decay.

    The paper says neither what decays nor whether the moments are corrected: here norms and biases
    do not decay, as in GPT-1, and the moments are corrected, as Adam's are.

    Args:
        learning_rate: float or schedule. GPT-3's: from 6e-4 (125M) to 0.6e-4 (175B), after linear
            warm-up over 375 million tokens along a cosine to a tenth.
        weight_decay: float.
        bias_correction: bool. Whether the moments are corrected.
        options: arguments of `AdamWeightDecay`, instead of these or besides.

    Returns:
        `AdamWeightDecay`, gradients clipped to a global norm of 1.

    Source: GPT-3, arXiv:2005.14165, appendix B and table 2.1.
    """
    published = {"beta_2": 0.95, "epsilon": 1e-8}
    return _optimizer(learning_rate, weight_decay, bias_correction, {**published, **options})


def default_optimizer(learning_rate=5e-5):
    """BERT's and XLNet's with corrected moments, which tasks are trained with by default.

    Without the correction, as in the released code, the first steps are so large that some runs
    of fine-tuning with few examples fail (arXiv:2006.05987, section 4; arXiv:2006.04884).

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`.

    Returns:
        `AdamWeightDecay`.

    Source: XLNet, arXiv:1906.08237, appendix A.3 (table 8).
    """
    return bert_optimizer(learning_rate, bias_correction=True)


def _optimizer(learning_rate, weight_decay, bias_correction, options):
    """An optimizer with BERT's clipping, unless the options say otherwise."""
    options = {"global_clipnorm": 1.0, **options}
    return AdamWeightDecay(learning_rate, weight_decay, bias_correction=bias_correction, **options)
