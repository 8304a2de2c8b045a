"""A Ray cluster of several nodes on this machine, for the benchmarks that need one."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

NODE = {"object_store_memory": 150 << 20, "num_cpus": 2}


def start_cluster(nodes: int = 1) -> Cluster:
    """Start a cluster with this number of nodes, which only this process and its children can use."""
    os.environ |= {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120", "RAY_worker_niceness": "0",
    }  # fmt: skip
    from ray.cluster_utils import Cluster  # it reads these variables when it is imported

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    for _ in range(nodes - 1):
        cluster.add_node(**NODE)
    return cluster
