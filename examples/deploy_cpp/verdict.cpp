// SPDX-License-Identifier: Apache-2.0
// Verdict and boxes of a picture from an export: verdict EXPORT_FOLDER PICTURE...
//
// OpenCV reads the picture, OpenVINO runs the graph; it reads exports of both kinds, onnx and openvino. The engine and
// its headers come in the wheel `openvino`; CMakeLists.txt says how it is found.

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <openvino/openvino.hpp>

namespace {

// The program needs a few plain values of export.json; a real one would take a JSON library.
std::string value_of(const std::string& json, const std::string& name) {
    std::smatch found;
    if (!std::regex_search(json, found, std::regex("\"" + name + "\": \"?([^\",\n}]+)")))
        throw std::runtime_error("export.json has no " + name);
    return found[1];
}

double number_of(const std::string& json, const std::string& name) { return std::stod(value_of(json, name)); }

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// (H, W, 3) float32 RGB in [0, 1] of a picture with 8 or 16 bits, grey or in colour.
cv::Mat load(const std::string& path) {
    cv::Mat pixels = cv::imread(path, cv::IMREAD_COLOR | cv::IMREAD_ANYDEPTH), rgb;
    if (pixels.empty()) throw std::runtime_error(path + " cannot be read as a picture");
    const double largest = pixels.depth() == CV_16U ? 65535.0 : 255.0;
    cv::cvtColor(pixels, rgb, cv::COLOR_BGR2RGB);
    rgb.convertTo(rgb, CV_32FC3);
    return rgb / largest;
}

struct Box {
    int x, y, width, height, pixels;
};

// Regions that reach the threshold, with all that is connected down to `hysteresis` times it; largest first.
std::vector<Box> boxes(const cv::Mat& scores, float threshold, int min_region, double hysteresis) {
    cv::Mat labels, stats, centres;
    const cv::Mat low = scores >= static_cast<float>(hysteresis * threshold);
    const int count = cv::connectedComponentsWithStats(low, labels, stats, centres, 8);
    std::vector<char> reaching(count, 0);
    for (int y = 0; y < scores.rows; ++y)
        for (int x = 0; x < scores.cols; ++x)
            if (scores.at<float>(y, x) >= threshold) reaching[labels.at<int>(y, x)] = 1;
    std::vector<Box> found;
    for (int label = 1; label < count; ++label) {
        const int* row = stats.ptr<int>(label);
        if (reaching[label] && row[cv::CC_STAT_AREA] >= min_region) found.push_back({row[0], row[1], row[2], row[3], row[4]});
    }
    std::sort(found.begin(), found.end(), [](const Box& a, const Box& b) { return a.pixels > b.pixels; });
    return found;
}

}  // namespace

int main(int count, char** arguments) try {
    if (count < 3) throw std::runtime_error("usage: verdict EXPORT_FOLDER PICTURE...");
    const std::string folder = arguments[1], record = read(folder + "/export.json");
    if (value_of(record, "format") != "sequential-patchcore export" || number_of(record, "format_version") != 1)
        throw std::runtime_error(folder + " is no export that this program knows");
    const std::string graph = value_of(record, "kind") == "onnx" ? "/anomaly_map.onnx" : "/anomaly_map.xml";
    const float threshold = static_cast<float>(number_of(record, "threshold"));
    ov::Core core;
    // Without the hint it computes in bfloat16 where the processor can, and the scores are others.
    auto model = core.compile_model(folder + graph, "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = model.create_infer_request();
    for (int number = 2; number < count; ++number) {
        cv::Mat pixels = load(arguments[number]);
        const ov::Shape shape{static_cast<size_t>(pixels.rows), static_cast<size_t>(pixels.cols), 3};
        request.set_input_tensor(ov::Tensor(ov::element::f32, shape, pixels.data));
        request.infer();
        const cv::Mat scores(pixels.rows, pixels.cols, CV_32F, request.get_output_tensor().data<float>());
        double highest = 0;
        cv::minMaxLoc(scores, nullptr, &highest);
        const auto found = boxes(scores, threshold, static_cast<int>(number_of(record, "min_region")),
                                 number_of(record, "hysteresis"));
        std::cout << arguments[number] << ": " << (found.empty() ? "normal" : "anomalous") << ", score " << highest << "\n";
        for (const Box& box : found)
            std::cout << "  x " << box.x << " y " << box.y << " width " << box.width << " height " << box.height << ": "
                      << box.pixels << " pixels\n";
    }
} catch (const std::exception& error) {
    std::cerr << "verdict: " << error.what() << "\n";
    return 2;
}
