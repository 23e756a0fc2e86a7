/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The jittered grid: space cut into cubes of edge G, one centre in each, drawn by a hash of (cell, seed).
   The same function as blender_addon/core/grid.py. Lengths in metres.
   noise("hash", ...) is lookup3 over the bits of four floats: it runs on the CPU and on OptiX. */

/* The hash tells -0.0 from 0.0, and the compiler drops a plain "+ 0.0". */
float positive_zero(float x)
{
    return (x == 0.0) ? 0.0 : x;
}

vector floor_cell(vector q)
{
    vector cell = floor(q);
    return vector(positive_zero(cell[0]), positive_zero(cell[1]), positive_zero(cell[2]));
}

/* One value in [0, 1]: White Noise 4D, output Value. */
float white_noise_value(vector cell, float w)
{
    return noise("hash", point(cell), w);
}

/* Three values in [0, 1]: White Noise 4D, output Color. */
vector white_noise_color(vector cell, float w)
{
    float x = cell[0], y = cell[1], z = cell[2];
    return vector(noise("hash", point(x, y, z), w),
                  noise("hash", point(z, x, w), y),
                  noise("hash", point(w, z, y), x));
}

vector centre_of(vector cell, float cell_size, float seed)
{
    return (cell + white_noise_color(cell, seed)) * cell_size;
}

/* Distance to the nearest centre of the 27 neighbouring cells, or of the 2 x 2 x 2 around the nearest corner, which
   are enough while the outline stays within G / 2. */
float nearest_centre(vector p, float cell_size, float seed, int neighbours, output vector nearest)
{
    vector q = p / cell_size;
    vector base = floor_cell((neighbours == 27) ? q : q - 0.5);
    int low = (neighbours == 27) ? -1 : 0;

    float least = 1e9;
    nearest = vector(0.0);
    for (int x = low; x <= 1; x++)
        for (int y = low; y <= 1; y++)
            for (int z = low; z <= 1; z++) {
                vector cell = base + vector(x, y, z);
                float d = length(p - centre_of(cell, cell_size, seed));
                if (d < least) {
                    least = d;
                    nearest = cell;
                }
            }
    return least;
}
