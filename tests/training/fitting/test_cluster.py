# SPDX-License-Identifier: Apache-2.0
"""Shards on a Ray cluster of this machine: the meld of what `train --shard` makes, whatever node is lost."""

import os
import threading
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.fitting.cluster import run_shards, shard_path
from sequential_patchcore.model.file import load_model
from sequential_patchcore.runtime.errors import UserError

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # before Ray is imported, see cluster.py
pytest.importorskip("ray", reason="the extra `cluster` is not installed")


@pytest.mark.slow
def test_the_command_melds_the_shards_that_train_would_make(plates, tmp_path, capsys):
    data = plates(tmp_path / "plates", train=4, val=0, test=0)
    common = ["train", "--data", str(data.path), "--backbone", "filters", "--coreset-size", "20", "--epochs", "2"]
    out = tmp_path / "ray.h5"
    assert cli.main([*common, "--out", str(out), "--ray", "local", "--shards", "2"]) == 0
    by_hand = [tmp_path / f"{part}-of-2.h5" for part in (1, 2)]
    for part, path in enumerate(by_hand, 1):
        assert cli.main([*common, "--out", str(path), "--shard", f"{part}/2"]) == 0
        np.testing.assert_array_equal(load_model(path).features, load_model(shard_path(out, part, 2)).features)
    assert cli.main(["meld", *map(str, by_hand), "--out", str(tmp_path / "melded.h5")]) == 0
    one, other = load_model(out), load_model(tmp_path / "melded.h5")
    np.testing.assert_array_equal(one.features, other.features)
    assert one.sources == other.sources and one.parents == other.parents
    capsys.readouterr()
    assert cli.main([*common, "--out", str(out), "--ray", "local", "--shards", "2"]) == 0
    assert "already made by this command" in capsys.readouterr().out
    # What a shard refuses is told in one line: here, more vectors than it has patches.
    too_many = [*common, "--coreset-size", "5000", "--out", str(tmp_path / "no.h5"), "--ray", "local"]
    assert cli.main(too_many) == 2
    assert "fewer than the 5000 vectors" in capsys.readouterr().err and not (tmp_path / "no.h5").exists()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_shards_of_a_killed_node_come_back_in_order(tmp_path):
    from ray.cluster_utils import Cluster

    def task(arguments):
        folder = Path(arguments.folder)
        (folder / f"{arguments.number}-{os.getpid()}.started").touch()
        time.sleep(3)
        (folder / f"{arguments.number}.done").touch()

    local = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=local)
    second = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")

    def kill() -> None:
        while len(list(tmp_path.glob("*.started"))) < 2:  # one on each node
            time.sleep(0.1)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        jobs = [Namespace(folder=str(tmp_path), number=number) for number in range(4)]
        assert list(run_shards(task, jobs, cluster.address, 1)) == [0, 1, 2, 3]
        killer.join(timeout=30)
        assert not killer.is_alive()
        assert len(list(tmp_path.glob("*.done"))) == 4
        starts = [path.name.split("-")[0] for path in tmp_path.glob("*.started")]
        assert len(starts) > 4 and set(starts) == set("0123"), "a task of the killed node was started again"
    finally:
        cluster.shutdown()


def test_no_cluster_there_is_told(monkeypatch):
    import ray

    def refuse(**_options):
        raise ConnectionError("no GCS at this address")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UserError, match="no cluster to be reached"):
        list(run_shards(print, [Namespace()], "127.0.0.1:1", 1))


def test_shard_and_ray_together_are_refused(plates, tmp_path, capsys):
    data = plates(tmp_path / "plates", train=2, val=0, test=0)
    command = ["train", "--data", str(data.path), "--out", str(tmp_path / "m.h5"), "--ray", "local", "--shard", "1/2"]
    assert cli.main(command) == 2
    assert "--shards N" in capsys.readouterr().err
