"""kbsync beside tools of the package index, on the same documents: a runner and an environment for each."""
