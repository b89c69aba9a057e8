module pgpack.io/test/cluster/copyrelay

go 1.24.0
