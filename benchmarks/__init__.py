"""One script a claim; `perceptogram bench NAME` runs them."""

from realtime.processes.blas_threads import wait_passively

wait_passively()  # before anything loads OpenMP
