# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser: it loads without a network, and people can click through it."""

import pytest

import browser
import synthetic
from panpipe.model import datasets
from panpipe.pipelines import report

SPEC = datasets.SPECS['cityscapes_panoptic']
IMAGE, LAYERS = "document.querySelector('dialog img').src", 5


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    """Makes a report on predictions that turn some pixels into sky."""
    folder = tmp_path_factory.mktemp('report')
    raw = synthetic.toy(folder, SPEC.name, images=9)
    named = synthetic.truths(raw, SPEC)
    for number, panoptic in enumerate(named.values(), 1):
        panoptic[:, : 10 * number] = 10 * 1000
    synthetic.write_predictions(folder / 'predictions', named, SPEC)
    arguments = ['--dataset', SPEC.name, '--ground_truth', str(raw), '--pictures', '3']
    output = folder / 'report.html'
    predictions = ['--predictions', str(folder / 'predictions'), '--output', str(output)]
    assert report.main([*arguments, *predictions]) == 0
    return output


@pytest.fixture(scope='module')
def page():
    with browser.page() as opened:
        yield opened


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [390, 1280])
def test_it_fits_every_screen_and_asks_for_nothing(page, path, width, scheme):
    page.open(path, width=width, scheme=scheme)
    assert page.run('document.documentElement.scrollWidth') <= width
    background = page.run('getComputedStyle(document.body).backgroundColor')
    red = int(background.removeprefix('rgb(').split(',')[0])
    assert (red < 100) == (scheme == 'dark')
    assert page.run('[...document.images].every((i) => !i.src || i.naturalWidth > 0)')
    assert page.complaints() == []


def test_one_clicks_through_the_gallery(page, path):
    page.open(path, width=1280)
    assert page.run("document.querySelectorAll('.card').length") == 3
    assert not page.run("document.querySelector('dialog').open")
    page.run("document.querySelector('.card [data-layer=errors]').click()")
    assert page.run("document.querySelector('dialog').open")
    assert page.run("document.querySelector('.caption[aria-live]').textContent").startswith('1 of 3')
    seen = {page.run(IMAGE)}
    for _ in range(LAYERS - 1):
        page.press('ArrowDown')
        seen.add(page.run(IMAGE))
    assert len(seen) == LAYERS
    page.press('ArrowRight')
    assert page.run("document.querySelector('.caption[aria-live]').textContent").startswith('2 of 3')
    assert page.run(IMAGE) not in seen
    page.run("document.querySelector('.layers button').click()")
    assert page.run("document.querySelector('.layers button').getAttribute('aria-pressed')") == 'true'
    page.run("document.querySelector('[data-close]').click()")
    assert not page.run("document.querySelector('dialog').open")
    assert page.complaints() == []


def test_links_lead_to_something(page, path):
    page.open(path, width=1280)
    targets = page.run("[...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))")
    assert targets
    missing = page.run(
        "[...document.querySelectorAll('a[href]')].filter((a) => "
        '!document.getElementById(a.getAttribute("href").slice(1))).length'
    )
    assert missing == 0


def test_the_worst_comes_first(page, path):
    page.open(path, width=1280)
    names = page.run("[...document.querySelectorAll('.card')].map((card) => card.dataset.name)")
    assert names[0] == max(names)  # in it the most is sky
    assert len(set(names)) == 3
