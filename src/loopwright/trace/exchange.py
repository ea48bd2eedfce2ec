"""Lineage in the words of others: W3C PROV (PROV-JSON, by the library ``prov``) and OpenLineage events (by its own classes).

Nothing is sent anywhere: both are text. What is written is read back by the library before it is handed out.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import loopwright
from loopwright.errors import IntegrityError
from loopwright.trace.graph import Node
from loopwright.trace.lineage import Lineage

__all__ = ["openlineage_events", "prov_json"]

_NAMESPACE = "urn:loopwright:"
_PRODUCER = f"{_NAMESPACE}producer:{loopwright.__version__}"


def prov_json(found: Lineage) -> str:
    """The answer as PROV-JSON (W3C Member Submission 2013): entities, activities, agents; used, wasGeneratedBy, wasAssociatedWith.

    Raises:
        IntegrityError: the library reads back something else than was written.
    """
    from prov.model import ProvDocument

    document = ProvDocument()
    document.add_namespace("lw", _NAMESPACE)
    document.set_default_namespace(f"{_NAMESPACE}{found.graph.state.workspace}:")
    names = {name: document.valid_qualified_name(_prov_name(found.graph.nodes[name])) for name in found.reached}
    for name in found.reached:
        _prov_node(document, names[name], found.graph.nodes[name])
    for before, after, how in found.edges():
        _prov_edge(document, names, found, before, after, how)
    text = document.serialize(format="json", indent=1)
    if text is None or ProvDocument.deserialize(content=text, format="json") != document:
        raise IntegrityError("the PROV document does not read back as it was written", "report this as a defect")
    return text


def _prov_name(node: Node) -> str:
    """A local name: letters that PROV-N needs no escapes for."""
    plain = node.id.replace("sha256:", "").replace("@", "-").replace(":", "-")
    return "".join(letter if letter.isalnum() or letter in "-_./" else "_" for letter in plain)


def _prov_node(document: Any, name: Any, node: Node) -> None:
    told = {"prov:label": node.label, "prov:type": document.valid_qualified_name(f"lw:{node.kind}")}
    if node.digest:
        told["lw:digest"] = node.digest
    if node.kind == "phase":
        started, ended = node.facts["started_at"], node.facts["finished_at"]
        told |= {"lw:entry": node.facts["entry"], "lw:key": node.facts["key"]}
        document.activity(name, started, ended, told)
    elif node.kind == "principal":
        document.agent(name, told)
    else:
        document.entity(name, told)


def _prov_edge(document: Any, names: dict[str, Any], found: Lineage, before: str, after: str, how: str) -> None:
    if how == "signed":
        document.wasAssociatedWith(names[after], names[before])
    elif how == "held in":
        document.wasDerivedFrom(names[after], names[before])
    elif how == "made":
        document.wasGeneratedBy(names[after], names[before], found.graph.nodes[before].facts["finished_at"])
    else:
        document.used(names[after], names[before], other_attributes={"prov:role": how.removeprefix("input ")})


def openlineage_events(found: Lineage) -> list[dict[str, Any]]:
    """A START and a COMPLETE event of every phase in the answer, as plain JSON, oldest first.

    Raises:
        IntegrityError: an event has no JSON form.
    """
    from openlineage.client.event_v2 import RunState
    from openlineage.client.serde import Serde

    phases = [found.graph.nodes[name] for name in found.reached if found.graph.nodes[name].kind == "phase"]
    events = []
    for node in sorted(phases, key=lambda node: (node.facts["started_at"], node.facts["entry"])):
        for state, time in ((RunState.START, node.facts["started_at"]), (RunState.COMPLETE, node.facts["finished_at"])):
            text = Serde.to_json(_event(found, node, state, time))
            if "<<non-serializable" in text:
                raise IntegrityError(f"the OpenLineage event of {node.label} has no JSON form", "report this as a defect")
            events.append(json.loads(text))
    return events


def _event(found: Lineage, node: Node, state: Any, time: str) -> Any:
    from openlineage.client.event_v2 import Job, Run, RunEvent
    from openlineage.client.facet_v2 import job_type_job, processing_engine_run

    graph = found.graph
    space = f"{_NAMESPACE}{graph.state.workspace}"
    engine = processing_engine_run.ProcessingEngineRunFacet(version=loopwright.__version__, name="loopwright")
    kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="LOOPWRIGHT", jobType="PHASE")
    used = [graph.nodes[name] for name, how in graph.backward.get(node.id, ()) if how.startswith("input") or how == "carried"]
    made = [graph.nodes[name] for name, how in graph.forward.get(node.id, ()) if how == "made"]
    return RunEvent(
        eventTime=time,
        eventType=state,
        producer=_PRODUCER,
        run=Run(runId=str(uuid.uuid5(uuid.NAMESPACE_URL, node.facts["key"])), facets={"processing_engine": engine}),
        job=Job(namespace=space, name=node.label.partition("/")[2], facets={"jobType": kind}),
        inputs=[_dataset(item, space, output=False) for item in used],
        outputs=[_dataset(item, space, output=True) for item in made],
    )


def _dataset(node: Node, space: str, *, output: bool) -> Any:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset

    version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=node.digest)
    made = OutputDataset if output else InputDataset
    return made(namespace=space, name=node.id.partition("@")[0], facets={"version": version})
