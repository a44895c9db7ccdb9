"""One script a claim; `perceptogram bench NAME` runs them."""

from realtime.threads import wait_passively

wait_passively()  # before anything loads OpenMP
