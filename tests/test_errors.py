from gpucnn.errors import did_you_mean, nearest


def test_did_you_mean_names_the_nearest_or_all():
    assert did_you_mean("adm", ["sgd", "adam"]) == 'did you mean "adam"?'
    assert did_you_mean("xyz", ["sgd", "adam"]) == "known: adam, sgd"


def test_did_you_mean_names_those_that_contain_the_word():
    known = ["max_pool2d_forward", "avg_pool2d_forward", "softmax_cross_entropy"]
    assert did_you_mean("entropy", known) == 'did you mean "softmax_cross_entropy"?'
    assert did_you_mean("pool", known) == (
        "did you mean one of avg_pool2d_forward, max_pool2d_forward?"
    )
    assert did_you_mean("ol", known).startswith("known: ")


def test_the_nearest_may_be_one_that_begins_so():
    known = ["relu_input_grad", "relu_forward", "add"]
    assert nearest("relu", known) == "relu_forward"
    assert nearest("ad", known) == "add"
    assert nearest("r", known) == nearest("sigmoid", known) == ""
