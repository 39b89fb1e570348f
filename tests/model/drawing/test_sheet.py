# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import ImageFont

from panpipe.model.drawing import panels, sheet

PICTURE = np.full((50, 80, 3), (10, 200, 30), np.uint8)


def test_a_sheet_holds_its_pictures_and_keys():
    rows = [[panels.Panel('one', PICTURE), panels.Panel('two', PICTURE)], [panels.Panel('three', PICTURE)]]
    swatch = np.full((20, 28, 3), (1, 2, 3), np.uint8)
    entries = [sheet.Entry((200, 0, 0), 'red'), sheet.Entry(swatch, 'a picture', 'and a note')]
    drawn = sheet.Sheet('title', rows, [sheet.Key('Key', entries), sheet.Key('Empty', [])]).draw()
    assert drawn.dtype == np.uint8
    assert drawn.shape[1:] == (sheet.WIDTH, 3)
    count = (drawn == PICTURE[0, 0]).all(axis=2).sum()
    assert count == 3 * 50 * 80
    assert (drawn == (200, 0, 0)).all(axis=2).sum() >= 20 * 28
    assert (drawn == (1, 2, 3)).all(axis=2).sum() >= 20 * 28
    assert (drawn[:, -1] == sheet.PAPER).all()


@pytest.mark.parametrize('columns', [1, 2, 3, 5])
@pytest.mark.parametrize(('height', 'width'), [(1024, 2048), (640, 480), (2000, 100)])
def test_a_row_of_panels_fits_on_the_sheet(height, width, columns):
    tall, wide = sheet.panel_size(height, width, columns)
    assert tall / wide == pytest.approx(height / width, rel=0.05)
    picture = np.full((tall, wide, 3), 1, np.uint8)
    drawn = sheet.Sheet('', [[panels.Panel('', picture)] * columns], []).draw()
    assert (drawn == 1).all(axis=2).sum() == columns * tall * wide


def test_a_long_title_loses_its_middle():
    font = ImageFont.load_default(20)
    text = 'a_very_long_name_' * 40
    short = sheet._shortened(text, font, 300)
    assert font.getlength(short) <= 300
    start, end = short.split(' ... ')
    assert text.startswith(start)
    assert text.endswith(end)
    assert sheet._shortened('short', font, 300) == 'short'


def test_many_entries_go_in_columns():
    entries = [sheet.Entry((number, 0, 99), f'a class with a long name {number}') for number in range(60)]
    drawn = sheet.Sheet('', [], [sheet.Key('', entries)]).draw()
    for number in range(60):
        assert (drawn == (number, 0, 99)).all(axis=2).sum() >= 20 * 28
    places = [np.argwhere((drawn == (number, 0, 99)).all(axis=2))[0] for number in range(60)]
    assert places[1][1] == places[0][1]  # read downwards
    assert places[1][0] > places[0][0]


def test_one_entry_may_be_wider_than_the_sheet():
    drawn = sheet.Sheet('', [], [sheet.Key('', [sheet.Entry((1, 1, 1), 'wide ' * 200)])]).draw()
    assert drawn.shape[1] == sheet.WIDTH
