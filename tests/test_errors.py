from gpucnn.errors import did_you_mean


def test_did_you_mean_names_the_nearest_or_all():
    assert did_you_mean("adm", ["sgd", "adam"]) == 'did you mean "adam"?'
    assert did_you_mean("xyz", ["sgd", "adam"]) == "known: adam, sgd"
