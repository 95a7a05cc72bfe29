"""Cutting a model at a named layer: ``f = f2(f1(x))``; ``f1`` is the front, ``f2`` the back."""

from __future__ import annotations

from torch import Tensor, fx, jit, nn

from medpriv.models.careful import given_to, name_of, one_tensor, unwrapped
from medpriv.models.contract import Classifier, Form
from medpriv.models.images import ImageCNN
from medpriv.models.records import RecordMLP
from medpriv.models.reports import ReportClassifier, TokenFeatures

# torchvision is imported where a graph is traced: a second and more, for what only images need.

_OWN = (ImageCNN, RecordMLP)


def split_names(model: nn.Module) -> tuple[str, ...]:
    """The names at which a model can be cut, from input to output.

    The course's own models name their blocks, a report classifier the layers of its encoder; any
    other traceable model, torchvision's among them, offers every node of its graph, and one that
    cannot be traced its named layers.

    Raises:
        ValueError: nothing is known of the model but its answers, or it is a script.
    """
    model = _network(model)
    if isinstance(model, ReportClassifier):
        return tuple(f"layer{number}" for number in range(1, model.encoder.depth + 1))
    if isinstance(model, _OWN):
        return tuple(name for name, _ in model.named_children())[:-1]
    layers = [name for name, _ in model.named_modules() if name]
    from torchvision.models.feature_extraction import get_graph_node_names

    try:
        nodes = get_graph_node_names(model)[1]
    except Exception:  # a branch that depends on the data, and whatever else stops a tracer
        return tuple(layers)
    return tuple(nodes)


def hidden_layers(model: nn.Module) -> tuple[str, ...]:
    """The layers with hidden units: all with weights but the last, by name.

    Of the course's own models those of :func:`split_names`.
    """
    model = _network(model)
    if isinstance(model, (*_OWN, ReportClassifier)):
        return split_names(model)
    weighted = (nn.Linear, nn.modules.conv._ConvNd)
    found = [name for name, part in model.named_modules() if isinstance(part, weighted)]
    if len(found) < 2:
        raise ValueError(
            f"{type(model).__name__} has no hidden layer that is told by its name; name layers: "
            f"{', '.join(split_names(model)[:20])}"
        )
    return tuple(found[:-1])


def front(model: nn.Module, split: str) -> nn.Module:
    """``f1``: the model from its input up to and including the layer ``split``.

    The result shares its weights with ``model``, is in evaluation mode, and returns the features
    as one tensor. A block's name stands for the block's last operation (for ``conv4`` of
    ``ImageCNN``, the pooling). The cut is made by ``torchvision.models.feature_extraction``. A
    network that cannot be traced is run up to a layer of this name, when it is first called. Of a
    report classifier the features are those of ``TokenFeatures``.

    Raises:
        ValueError: the model has no layer of this name; the message lists those it has. Or it
            cannot be cut there, for the reason that the message names.
    """
    model = _network(model)
    _check_split(model, split)
    if isinstance(model, ReportClassifier):
        return TokenFeatures(model.encoder, int(split.removeprefix("layer"))).eval()
    if not isinstance(model, _OWN):
        try:
            _check_writes(_traced(model, split)[0], type(model).__name__, split)
        except ValueError:
            if split in dict(model.named_modules()):
                return _UpTo(model, split).eval()
            raise
    from torchvision.models.feature_extraction import create_feature_extractor

    cut = create_feature_extractor(model, return_nodes={split: "features"})
    return _Features(cut, split, strange=not isinstance(model, _OWN)).eval()


def is_alone(front: nn.Module) -> bool:
    """Whether a front holds no weights but its own, so that these can be shown to somebody."""
    return not isinstance(front, _UpTo)


def back(model: nn.Module, split: str) -> nn.Module:
    """``f2``: the model behind the layer ``split``, from its features to the logits.

    ``back(model, split)(front(model, split)(x))`` is ``model(x)`` in evaluation mode. The result
    shares its weights with ``model``, and leaves the features that it is given as they are.

    Raises:
        ValueError: the model has no layer of this name, or what is behind it also needs the input
            itself or an earlier layer, such as a residual connection around the split; or it is a
            report classifier, whose back half needs to know which tokens are padding; or it cannot
            be traced.
    """
    whole, model = model, _network(model)
    _check_split(model, split)
    if isinstance(model, ReportClassifier):
        raise ValueError("the back half of a ReportClassifier cannot be had; expose='features'")
    model.eval()  # as create_feature_extractor does for the front
    cut, names = _traced(model, split)
    graph = cut.graph
    if not isinstance(model, _OWN):
        _check_writes(cut, type(model).__name__, split)
    # A block's name stands for the last of its operations.
    at = [node for node, name in names.items() if name == split or name.startswith(f"{split}.")]
    given = [node for node in graph.nodes if node.op == "placeholder"]
    with graph.inserting_before(given[0]):
        features = graph.placeholder("features")
    put_in = features
    if not isinstance(model, _OWN):
        with graph.inserting_after(given[-1]):
            put_in = graph.call_method("clone", (features,))  # what follows may write into it
    at[-1].replace_all_uses_with(put_in)
    for node in list(given[0].users):
        if _asks_for_rows(node):
            node.replace_input_with(given[0], features)
    graph.eliminate_dead_code()
    if given[0].users:
        raise ValueError(
            f"{type(model).__name__} cannot be cut in two at {split!r}: what is behind it also "
            "needs an earlier layer; choose a layer that everything passes through"
        )
    graph.erase_node(given[0])
    cut.delete_all_unused_submodules()
    cut.recompile()
    if isinstance(model, _OWN):
        return cut.eval()
    known = isinstance(whole, Classifier)
    return _Back(cut, whole.form if known else Form("logits", None, name_of(model))).eval()


def _network(model: nn.Module) -> nn.Module:
    """What is cut: a network without what is around it."""
    model = unwrapped(model)
    if isinstance(model, Classifier):
        if model.is_function:
            raise ValueError("a function has no layers to cut it at; expose='scores' or 'label'")
        model = model.model
    if isinstance(model, jit.ScriptModule):
        raise ValueError(
            "a scripted or traced model cannot be cut at a layer; give the module that it was made "
            "of, or expose='scores'"
        )
    return model


def _traced(model: nn.Module, split: str) -> tuple[fx.GraphModule, dict[fx.Node, str]]:
    from torchvision.models.feature_extraction import NodePathTracer

    tracer = NodePathTracer()
    try:
        return fx.GraphModule(model, tracer.trace(model)), tracer.node_to_qualname
    except Exception as error:  # whatever stops a tracer
        raise ValueError(
            f"{type(model).__name__} cannot be traced ({type(error).__name__}: {error}), so that "
            f"it cannot be cut in two at {split!r}; expose='features' at a named layer needs no "
            "trace, nor does expose='weights' without a split"
        ) from error


def _asks_for_rows(node: fx.Node) -> bool:
    """Whether it asks the input how many rows it has, which the features have, too."""
    if node.op == "call_method" and node.target == "size":
        return node.args[1:] == (0,)
    shape = node.target is getattr and node.args[1:] == ("shape",)
    return shape and all(user.args[1:] == (0,) for user in node.users)


def _check_writes(traced: fx.GraphModule, name: str, split: str) -> None:
    """Pass if no operation works only by what it writes into, such as ``x.sub_(mean)`` in a line.

    Cutting removes operations whose result nobody uses.
    """
    for node in traced.graph.nodes:
        if not node.users and _writes(node, traced):
            raise ValueError(
                f"{name} writes in place ({node.target}), which a cut at {split!r} "
                "would lose; write x = x.sub(...) in its forward, or cut at a named layer with "
                "expose='features'"
            )


def _writes(node: fx.Node, traced: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return bool(getattr(traced.get_submodule(node.target), "inplace", False))
    name = getattr(node.target, "__name__", str(node.target))
    called = node.op in ("call_function", "call_method")
    return called and (name.endswith("_") or name == "setitem" or "inplace" in node.kwargs)


def _check_split(model: nn.Module, split: str) -> None:
    known = split_names(model)
    layers = () if isinstance(model, (*_OWN, ReportClassifier)) else dict(model.named_modules())
    named = split in known or any(name.startswith(f"{split}.") for name in known)
    if not named and not (split and split in layers):
        listed = ", ".join(known if len(known) <= 40 else (*known[:40], "…"))
        raise ValueError(f"unknown split {split!r} of {type(model).__name__}; known: {listed}")


class _Features(nn.Module):
    """Takes the one tensor out of the dictionary that the feature extractor returns."""

    def __init__(self, cut: nn.Module, split: str, *, strange: bool) -> None:
        super().__init__()
        self.cut, self.split, self.strange = cut, split, strange

    def forward(self, x: Tensor) -> Tensor:
        if not self.strange:
            return self.cut(x)["features"]
        return _features(self.cut(given_to(self.cut, x))["features"], self.split)


class _Reached(Exception):
    """The layer has answered; what comes after it is not needed."""


class _UpTo(nn.Module):
    """Runs somebody's network until a layer has answered."""

    def __init__(self, model: nn.Module, split: str) -> None:
        super().__init__()
        self.model, self.split = model, split

    def forward(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []

        def keep(layer: nn.Module, given: object, answer: object) -> None:
            # A copy: the next layer may write into it.
            found.append(_features(answer, self.split).clone())
            raise _Reached

        handle = self.model.get_submodule(self.split).register_forward_hook(keep)
        try:
            self.model(given_to(self.model, x))
        except _Reached:
            return found[0]
        finally:
            handle.remove()
        raise ValueError(f"{type(self.model).__name__} never calls its layer {self.split!r}")


def _features(answer: object, split: str) -> Tensor:
    hidden = getattr(answer, "last_hidden_state", answer)
    if isinstance(hidden, tuple) and sum(one is not None for one in hidden) == 1:
        hidden = hidden[0]
    try:
        return one_tensor(hidden, f"the layer {split!r}").float()
    except ValueError as error:
        raise ValueError(f"{error}; or cut at another layer") from error


class _Back(nn.Module):
    """The rest of somebody's network, which answers as the whole does."""

    def __init__(self, cut: nn.Module, form: Form) -> None:
        super().__init__()
        self.cut, self.form = cut, form

    def forward(self, features: Tensor) -> Tensor:
        return self.form(self.cut(given_to(self.cut, features)))
