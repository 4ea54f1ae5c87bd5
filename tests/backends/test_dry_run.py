"""What operations would launch, without a launch."""

from gpucnn.backends.dry_run import dry_run


def test_it_says_what_is_launched():
    def run(backend):
        x = backend.empty((2, 8, 8, 4))
        backend.max_pool2d_forward(backend.relu_forward(x), (2, 2), (2, 2))

    launched = dry_run(run)
    assert [source.file for source in launched.sources] == ["activation.cu", "max_pool2d.cu"]
    assert [kernel.name for kernel in launched.launches] == ["relu_forward", "max_pool2d_forward"]
