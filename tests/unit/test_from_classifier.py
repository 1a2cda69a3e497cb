"""`ProgressHead.from_classifier` against the heads of transformers' own classes, built from tiny configurations."""

import pytest
import torch
import transformers

from progrm_fast import ProgressHead

COMMON = {"vocab_size": 50, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64}
TINY = COMMON | {
    "hidden_size": 16,
    "intermediate_size": 24,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DECODER = TINY | {"num_key_value_heads": 2}
EMBEDDED = TINY | {"embedding_size": 16}
GROUPS = ("q", "k", "v", "post_attention", "intermediate", "output")
DISTILLED = {"vocab_size": 50, "dim": 16, "hidden_dim": 24, "n_layers": 1, "n_heads": 2, "pad_token_id": 0}
# Class, configuration, and what is between the backbone and the last layer.
MODELS = [
    ("Qwen2ForTokenClassification", DECODER, None),
    ("Qwen2ForSequenceClassification", DECODER, None),
    ("LlamaForSequenceClassification", DECODER, None),
    ("BertForTokenClassification", TINY, None),
    ("BertForSequenceClassification", TINY, "tanh"),
    ("RobertaForSequenceClassification", TINY, "tanh"),
    ("DistilBertForSequenceClassification", DISTILLED, "relu"),
    ("ElectraForSequenceClassification", EMBEDDED, "gelu"),
    ("AlbertForSequenceClassification", EMBEDDED, "tanh"),
    ("DebertaV2ForSequenceClassification", TINY, "gelu"),
    ("NystromformerForSequenceClassification", TINY, "gelu_new"),
    ("SqueezeBertForTokenClassification", EMBEDDED | {f"{g}_groups": 1 for g in GROUPS}, None),
]


def build(name, options, labels):
    torch.manual_seed(labels)
    config = getattr(transformers, name.split("For")[0] + "Config")(num_labels=labels, **options)
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():  # large enough that an activation shows, and no bias is 0
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize(("name", "options", "between"), MODELS, ids=[model[0] for model in MODELS])
def test_progress_is_what_the_model_itself_says(name, options, between, labels):
    model = build(name, options, labels)
    ids = torch.randint(3, 50, (2, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        hidden = model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    if logits.ndim == 3:
        index = torch.arange(12)
    else:  # decoders look at the last token, encoders at the first
        index = torch.tensor([5, 11] if "num_key_value_heads" in options else [0, 6])
    head = ProgressHead.from_classifier(model)
    assert (head.activation if head.kind == "mlp" else None) == between
    with torch.no_grad():
        got = head(hidden, step_index=index, cu_steps=torch.tensor([0, len(index)], dtype=torch.int32)).progress
    logits = logits.reshape(-1, labels)
    expected = torch.sigmoid(logits[:, 0]) if labels == 1 else logits.softmax(1)[:, 1]
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert ProgressHead.from_config(head.config()).state_dict().keys() == head.state_dict().keys()


def with_head(*layers):
    """Return a Qwen2 whose ``score`` is a Sequential, as Qwen2.5-Math-PRM's, that ends with two labels."""
    model = build("Qwen2ForTokenClassification", DECODER, 2)
    model.score = torch.nn.Sequential(*layers, torch.nn.Linear(16, 2)).eval()
    return model


@pytest.mark.parametrize(
    ("between", "layers"),
    [
        ("relu", [torch.nn.Linear(16, 16), torch.nn.ReLU()]),
        ("tanh", [torch.nn.Dropout(), torch.nn.Linear(16, 16, bias=False), torch.nn.Tanh(), torch.nn.Dropout()]),
        (None, [torch.nn.Dropout()]),
        (None, []),
    ],
)
def test_a_sequential_is_taken_over(between, layers):
    model, hidden = with_head(*layers), torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(0))
    head = ProgressHead.from_classifier(model)
    assert (head.activation if head.kind == "mlp" else None) == between
    with torch.no_grad():
        got = head(hidden, step_index=torch.arange(6), cu_steps=torch.tensor([0, 6], dtype=torch.int32)).progress
        torch.testing.assert_close(got, model.score(hidden)[0].softmax(1)[:, 1], rtol=1e-5, atol=1e-6)


def test_a_sequential_of_another_form_is_refused():
    linear, relu = torch.nn.Linear(16, 16), torch.nn.ReLU()
    for layers in ([linear, relu, torch.nn.Linear(16, 16), relu], [torch.nn.LayerNorm(16)], [relu]):
        with pytest.raises(TypeError, match="whose head is not one or two layers"):
            ProgressHead.from_classifier(with_head(*layers))
    model = with_head(linear, relu)
    model.score.append(torch.nn.Sigmoid())
    with pytest.raises(TypeError, match="model: expected a classification head"):
        ProgressHead.from_classifier(model)
    model = build("BertForSequenceClassification", TINY, 1)
    model.classifier = torch.nn.Sequential(linear, relu, torch.nn.Linear(16, 1))
    with pytest.raises(TypeError, match="layers both in a Sequential and before it"):
        ProgressHead.from_classifier(model)


def test_half_precision_and_weights_of_zero_do_not_hide_the_activation():
    model = build("ElectraForSequenceClassification", EMBEDDED, 1)
    with torch.no_grad():
        model.classifier.dense.weight.zero_()
    model = model.to(torch.bfloat16).train()
    head = ProgressHead.from_classifier(model)
    assert (head.activation, head.weight.dtype) == ("gelu", torch.bfloat16)
    assert not model.classifier.dense.weight.any()  # a copy was asked
    assert model.classifier.training


@pytest.mark.parametrize("kind", ["Sequence", "Token"])
def test_a_head_with_further_layers_is_refused(kind):
    model = build(f"ModernBertFor{kind}Classification", TINY | {"cls_token_id": 1, "sep_token_id": 2}, 1)
    with pytest.raises(TypeError, match=r"got ModernBert.*a layer of its own: ModernBertPredictionHead"):
        ProgressHead.from_classifier(model)


def test_a_model_without_a_known_head_is_refused():
    with pytest.raises(TypeError, match=r"model: expected a classification head .* got Linear"):
        ProgressHead.from_classifier(torch.nn.Linear(2, 1))
    model = build("RobertaForSequenceClassification", TINY, 1)
    model.classifier.extra = torch.nn.Linear(2, 2)
    with pytest.raises(TypeError, match="whose head is not one or two layers"):
        ProgressHead.from_classifier(model)
    model = build("BertForSequenceClassification", TINY, 1)
    model.bert.pooler.activation = torch.nn.Softplus()
    with pytest.raises(TypeError, match="whose activation is not one of gelu, gelu_new"):
        ProgressHead.from_classifier(model)
    with pytest.raises(ValueError, match="model: expected a head of 1 or 2 labels, got 3"):
        ProgressHead.from_classifier(build("Qwen2ForTokenClassification", DECODER, 3))
