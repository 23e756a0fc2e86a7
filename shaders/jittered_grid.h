/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The jittered grid: space cut into cubes of edge G, one centre in each, drawn by a hash of (cell, seed).
   The same function as blender_addon/core/noise/grid.py. Lengths in metres.
   noise("hash", ...) is lookup3 over the bits of four floats: it runs on the CPU and on OptiX. */

#define FAR 1e9

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

/* For radius, strength and presence of a stain: three numbers in [0, 1]. */
vector draws_of(vector cell, float seed)
{
    return white_noise_color(cell, seed + 2.0);
}

float centred(float draw)
{
    return draw * 2.0 - 1.0;
}

/* A draw, small the more often the larger the skew. */
float uneven(float draw, float skew)
{
    float square = draw * draw;
    return draw + (square * square - draw) * skew;
}

/* |v|, counted 1/e-fold towards the side that the drop ran to; squeeze = 1/e - 1. With a normal reach above 1 the
   fourth root of t^4 + (n / reach)^4, t over the surface and n along its normal. */
float stretched_length(vector v, vector towards, float squeeze, vector unit_normal, float normal_reach)
{
    vector u = v + towards * (max(dot(v, towards), 0.0) * squeeze);
    if (normal_reach <= 1.0)
        return length(u);
    float deep = dot(u, unit_normal);
    float over = length(u - unit_normal * deep);
    over = over * over;
    deep = deep / normal_reach;
    deep = deep * deep;
    return sqrt(sqrt(over * over + deep * deep));
}

/* Nothing in a cell is nearer to p than this; a little less than exact, so that rounding cannot hide a centre. */
float least_distance_to_cell(vector p, vector cell, float cell_size)
{
    vector from_middle = p - (cell + 0.5) * cell_size;
    float half_edge = 0.5 * cell_size;
    vector outside = vector(max(abs(from_middle[0]) - half_edge, 0.0),
                            max(abs(from_middle[1]) - half_edge, 0.0),
                            max(abs(from_middle[2]) - half_edge, 0.0));
    return length(outside) - 1e-4 * cell_size;
}

/* The least of |p - c| - dr over the 27 neighbouring cells, or over the 2 x 2 x 2 around the nearest corner, which are
   enough while no stain reaches G / 2; dr is what a stain's radius has over the mean, at most `largest`. The search
   begins in the own cell and leaves out cells too far to win; the result is that of looking through them all. */
float nearest_centre(vector p, float cell_size, float seed, int neighbours, float density, float largest,
                     float skew, vector towards, float squeeze, vector unit_normal, float normal_reach,
                     output vector nearest)
{
    vector q = p / cell_size;
    vector base = floor_cell((neighbours == 27) ? q : q - 0.5);
    vector own = floor_cell(q);
    int low = (neighbours == 27) ? -1 : 0;

    float fourth = normal_reach * normal_reach * normal_reach * normal_reach;
    float along = (normal_reach > 1.0) ? sqrt(sqrt(1.0 + fourth)) : 1.0;

    float least = FAR;
    nearest = vector(0.0);
    for (int turn = 0; turn < 2; turn++)
        for (int x = low; x <= 1; x++)
            for (int y = low; y <= 1; y++)
                for (int z = low; z <= 1; z++) {
                    vector cell = base + vector(x, y, z);
                    if ((cell == own) != (turn == 0))
                        continue;
                    if (turn == 1 && least_distance_to_cell(p, cell, cell_size) * (1.0 + squeeze) / along - largest >= least)
                        continue;
                    vector draws = 0.0;
                    if (density < 1.0 || largest > 0.0)
                        draws = draws_of(cell, seed);
                    if (density < 1.0 && draws[2] > density)
                        continue;
                    float d = stretched_length(p - centre_of(cell, cell_size, seed), towards, squeeze, unit_normal,
                                               normal_reach);
                    d -= centred(uneven(draws[0], skew)) * largest;
                    if (d < least) {
                        least = d;
                        nearest = cell;
                    }
                }
    return least;
}
