/* The native half of Work.java. */
#define _GNU_SOURCE
#include <jni.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "Work.h"

JNIEXPORT jobject JNICALL Java_Work_take(JNIEnv *env, jclass self, jint size)
{
    char *block = malloc((size_t)size);

    (void)self;
    if (block == NULL)
        return NULL;
    memset(block, size & 127, (size_t)size);
    return (*env)->NewDirectByteBuffer(env, block, size);
}

JNIEXPORT jint JNICALL Java_Work_give(JNIEnv *env, jclass self, jobject buffer)
{
    char *block = (*env)->GetDirectBufferAddress(env, buffer);
    jlong size = (*env)->GetDirectBufferCapacity(env, buffer);
    int value = block[0] + block[size - 1];

    (void)self;
    free(block);
    return value;
}

JNIEXPORT jobjectArray JNICALL Java_Work_words(JNIEnv *env, jclass self,
                                               jint count)
{
    jclass string = (*env)->FindClass(env, "java/lang/String");
    jobjectArray words = (*env)->NewObjectArray(env, count, string, NULL);

    (void)self;
    for (jint i = 0; i < count; i++) {
        char *text = NULL;
        if (asprintf(&text, "word %d", (int)i) < 0)
            abort();
        jstring word = (*env)->NewStringUTF(env, text);
        free(text);
        (*env)->SetObjectArrayElement(env, words, i, word);
        (*env)->DeleteLocalRef(env, word);
    }
    return words;
}
