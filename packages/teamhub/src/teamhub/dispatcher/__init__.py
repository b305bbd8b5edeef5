"""The dispatcher: makes what runs equal to what should run.

`reconcile.next_step` decides for one workload, `queue.order` and `placement.place` for those that
wait; all three are pure. `dispatcher.Dispatcher` looks, asks them, and does what they say.
"""

from teamhub.dispatcher.dispatcher import Dispatcher

__all__ = ["Dispatcher"]
