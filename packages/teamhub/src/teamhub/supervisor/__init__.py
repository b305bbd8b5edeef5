"""The supervisor: `teamhub up`, which keeps a deployment's processes running, and its end.

`up.Supervisor` is the sequence; `lock` lets one run at a time, `programs` says what it runs,
`children` and `keeper` keep that running, `record` makes it findable after a crash, `readiness`
says whether people can sign in, `origin` where the settings come from, `apply` puts changed ones
in force, `ending` ends workloads where no dispatcher does, `down` is the other command, `state`
what `teamhub status` tells.
"""
