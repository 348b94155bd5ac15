"""all-MiniLM-L6-v2 as a small ONNX graph with int8 matrix products.

The packaged file stores int8 weights with one scale per output column, but converts them
to fp32 before each product. Here the same integers are multiplied as integers: the graph is
written anew from them, so no weight is rounded a second time and the build is a pure
function of the package. Activations are quantised per product and text (uint8, dynamic),
as in onnxruntime's dynamic quantisation (Q8BERT, https://arxiv.org/abs/1910.06188).

Shape: one text, so no padding and no attention mask. `input_ids` int64 (1, n) ->
`mean` float32 (1, 384), the mean over all tokens as sentence-transformers pools.
Fused nodes of onnxruntime are written directly, except SkipLayerNormalization: its CPU
kernel took 4 times as long as Add + LayerNormalization (measured, onnxruntime 1.31).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from operators.embedding.model_id import DIMENSION
from schemas.ids import content_hash

LAYERS = 6
HEADS = 12
MATRICES_PER_LAYER = 6  # query, key, value, attention output, feed-forward up, down
_EPSILON = 1e-12
_MS = "com.microsoft"
_EMBEDDINGS = "inner.embeddings."

Array = npt.NDArray[Any]


def read_tensors(path: Path) -> dict[str, Array]:
    """Tensors of the packaged ONNX file by name."""
    model = onnx.load(path)
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def build_graph(tensors: Mapping[str, Array], *, quantised: bool = True) -> onnx.ModelProto:
    """The model; with `quantised=False` the same weights in fp32, to compare with."""
    return _GraphWriter(tensors, quantised).write()


def graph_hash(model: onnx.ModelProto) -> str:
    """Hash over nodes and tensors, independent of how protobuf lays out the file."""
    parts: list[str | bytes] = []
    for node in model.graph.node:
        parts += [node.op_type, ",".join(node.input), ",".join(node.output)]
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        parts += [tensor.name, str(array.dtype), str(array.shape), array.tobytes()]
    return content_hash(*parts)


def _matrix_names(tensors: Mapping[str, Array]) -> list[str]:
    """Names of the quantised matrices (`val_49`, ...) in the order of the graph."""
    names = [n[:-2] for n in tensors if n.startswith("val_") and n.endswith("_q")]
    if len(names) != LAYERS * MATRICES_PER_LAYER:
        raise ValueError(f"{len(names)} matrices in the packaged model, 36 expected: other version")
    return sorted(names, key=lambda n: int(n.removeprefix("val_")))


class _GraphWriter:
    """Collects the nodes and tensors of one graph."""

    def __init__(self, tensors: Mapping[str, Array], quantised: bool):
        self._tensors = tensors
        self._quantised = quantised
        self._matrices = _matrix_names(tensors)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def write(self) -> onnx.ModelProto:
        x = self._embed_tokens()
        for layer in range(LAYERS):
            x = self._layer(layer, x)
        self._node("ReduceMean", [x], "mean", axes=[1], keepdims=0)
        graph = helper.make_graph(
            self._nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"])],
            [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, DIMENSION])],
            self._initializers,
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_MS, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def _tensor(self, name: str, array: Array) -> str:
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _embed_tokens(self) -> str:
        """Word + position + type embeddings, normalised; word rows stay int8 until looked up."""
        source = self._tensors
        words = self._tensor("word.q", source[_EMBEDDINGS + "word_embeddings.weight_q"])
        scales = self._tensor("word.s", source[_EMBEDDINGS + "word_embeddings.weight_scale"])
        name = _EMBEDDINGS + "position_embeddings.weight"
        positions = source[name + "_q"].astype(np.float32) * source[name + "_scale"]
        # Every token is of type 0: its row is added once, here.
        positions = positions + source[_EMBEDDINGS + "token_type_embeddings.weight"][0]
        position = self._tensor("position", positions.astype(np.float32))
        start = self._tensor("zero", np.array([0], np.int64))
        self._node("Gather", [words, "input_ids"], "word.i")
        self._node("Cast", ["word.i"], "word.f", to=TensorProto.FLOAT)
        self._node("Gather", [scales, "input_ids"], "word.fs")
        self._node("Mul", ["word.f", "word.fs"], "word")
        self._node("Shape", ["input_ids"], "n", start=1, end=2)
        self._node("Slice", [position, start, "n"], "position.n")
        self._node("Add", ["word", "position.n"], "embedded")
        return self._layer_norm("embedded", _EMBEDDINGS + "LayerNorm", "x0")

    def _layer(self, layer: int, x: str) -> str:
        first = layer * MATRICES_PER_LAYER
        q, k, v, out, up, down = self._matrices[first : first + MATRICES_PER_LAYER]
        source, p = f"inner.encoder.layer.{layer}.", f"l{layer}."
        heads = [source + f"attention.self.{n}.bias" for n in ("query", "key", "value")]
        qkv = self._linear(x, [q, k, v], heads, p + "qkv")
        parts = [p + "q", p + "k", p + "v"]
        sizes = self._tensor(p + "sizes", np.array([DIMENSION] * 3, np.int64))
        self._nodes.append(helper.make_node("Split", [qkv, sizes], parts, axis=2))
        self._node("MultiHeadAttention", parts, p + "att", domain=_MS, num_heads=HEADS)
        self._linear(p + "att", [out], [source + "attention.output.dense.bias"], p + "out")
        self._node("Add", [p + "out", x], p + "sum1")
        y = self._layer_norm(p + "sum1", source + "attention.output.LayerNorm", p + "y")
        self._linear(y, [up], None, p + "up")
        bias = self._tensor(p + "up.b", self._tensors[source + "intermediate.dense.bias"])
        self._node("BiasGelu", [p + "up", bias], p + "gelu", domain=_MS)
        self._linear(p + "gelu", [down], [source + "output.dense.bias"], p + "down")
        self._node("Add", [p + "down", y], p + "sum2")
        return self._layer_norm(p + "sum2", source + "output.LayerNorm", f"x{layer + 1}")

    def _layer_norm(self, x: str, source: str, output: str) -> str:
        weight = self._tensor(output + ".w", self._tensors[source + ".weight"])
        bias = self._tensor(output + ".b", self._tensors[source + ".bias"])
        return self._node("LayerNormalization", [x, weight, bias], output, epsilon=_EPSILON)

    def _linear(self, x: str, matrices: list[str], biases: list[str] | None, output: str) -> str:
        """`x @ [matrices] + [biases]`, the matrices side by side in one product."""
        integers = np.concatenate([self._tensors[m + "_q"] for m in matrices], axis=1)
        scales = np.concatenate([self._tensors[m + "_scale"].ravel() for m in matrices])
        bias = np.concatenate([self._tensors[b] for b in biases]) if biases else None
        if self._quantised:
            inputs = [
                x,
                self._tensor(output + ".q", integers),
                self._tensor(output + ".s", scales),
                self._tensor(output + ".z", np.zeros(scales.shape, np.int8)),
            ]
            if bias is not None:
                inputs.append(self._tensor(output + ".b", bias))
            return self._node("DynamicQuantizeMatMul", inputs, output, domain=_MS)
        weight = self._tensor(output + ".w", integers.astype(np.float32) * scales)
        if bias is None:
            return self._node("MatMul", [x, weight], output)
        self._node("MatMul", [x, weight], output + ".mm")
        return self._node("Add", [output + ".mm", self._tensor(output + ".b", bias)], output)
