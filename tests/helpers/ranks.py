"""Several processes, joined by gloo on the CPU or by NCCL on GPUs."""

import os
import traceback

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _enter(rank, world, work, folder, dist_backend, arguments):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(dist_backend, init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    try:
        torch.save(work(rank, world, *arguments), f"{folder}/rank{rank}.pt")
    except Exception:
        traceback.print_exc()
        raise
    finally:
        dist.destroy_process_group()


def run_ranks(work, folder, *arguments, world=2, dist_backend="gloo"):
    """The results of `work(rank, world, *arguments)`, a module-level function, in each of `world` processes."""
    mp.start_processes(_enter, (world, work, str(folder), dist_backend, arguments), nprocs=world, start_method="spawn")
    return [torch.load(f"{folder}/rank{rank}.pt") for rank in range(world)]
