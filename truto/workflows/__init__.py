"""Truto's workflows: definitions, what their expressions see and decide, and what that means for the API.

Pure, and the same for the worker and the sandbox. Brings JSONata with it, so ``truto`` itself does not import it.
"""

from truto.errors import BadWorkflow, EvaluationFailed, WorkflowFailed
from truto.expressions.tracing import TraceEntry
from truto.faults import DefinitionFault
from truto.workflows.compiled import (
    QUICK,
    CompiledStep,
    CompiledWorkflow,
    Formula,
    Prepared,
    Verdict,
    compile_workflow,
    digest_of,
)
from truto.workflows.definition import Config, Definition, Retry, Step, check_cron, read_definition
from truto.workflows.portability import ACTIVE, CONNECTED, TRUTO_TRIGGERS, patterns_of, truto_refusals
from truto.workflows.scope import Scope, Trigger, scope_of
from truto.workflows.sync_jobs import RUN_SYNC_JOB, sync_job_cron_trigger, sync_job_run

__all__ = [
    "ACTIVE",
    "CONNECTED",
    "QUICK",
    "RUN_SYNC_JOB",
    "TRUTO_TRIGGERS",
    "BadWorkflow",
    "CompiledStep",
    "CompiledWorkflow",
    "Config",
    "Definition",
    "DefinitionFault",
    "EvaluationFailed",
    "Formula",
    "Prepared",
    "Retry",
    "Scope",
    "Step",
    "TraceEntry",
    "Trigger",
    "Verdict",
    "WorkflowFailed",
    "check_cron",
    "compile_workflow",
    "digest_of",
    "patterns_of",
    "read_definition",
    "scope_of",
    "sync_job_cron_trigger",
    "sync_job_run",
    "truto_refusals",
]
